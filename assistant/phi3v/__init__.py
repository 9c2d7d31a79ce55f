"""The Phi-3-vision model family, native: no remote code anywhere.

    from assistant.phi3v.modeling import Phi3VForCausalLM
    from assistant.phi3v.processing import Phi3VProcessor

    model = Phi3VForCausalLM.from_pretrained(folder_or_hub_id)
    processor = Phi3VProcessor.from_pretrained(folder_or_hub_id)
    inputs = processor(text, images, return_tensors="pt")
    logits = model(**inputs).logits

:mod:`assistant.phi3v.crops` and :mod:`assistant.phi3v.vocabulary` serve the terminal app, which
never imports torch.
"""
