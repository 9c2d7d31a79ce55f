"""mistral.rs on a checkpoint folder; runs in a Python of its own that has mistralrs 0.9.5.

    PYTHON mistralrs_peer.py FOLDER FORMAT WORDS TOKENS

FORMAT is "-" (float32) or what mistral.rs calls it (Q8_0). Prints one JSON
object as its last line.
"""

from __future__ import annotations

import json
import random
import sys

from mistralrs import ChatCompletionRequest, MultimodalArchitecture, Runner, Which

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "while", "reading"]


def main() -> None:
    """Three requests; each starts differently, so that none profits from the one before."""
    folder, form, words, tokens = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    runner = Runner(
        which=Which.MultimodalPlain(model_id=folder, arch=MultimodalArchitecture.Phi3V),
        in_situ_quant=None if form == "-" else form,
    )
    runs = []
    for number in range(3):
        chosen = random.Random(number).choices(WORDS, k=words)
        request = ChatCompletionRequest(
            model="default",
            messages=[{"role": "user", "content": " ".join(chosen)}],
            max_tokens=tokens,
            temperature=0.0,
        )
        runs.append(runner.send_chat_completion_request(request).usage)
    print(
        json.dumps(
            {
                "prompt_tokens": runs[0].prompt_tokens,
                "prompt_s": min(run.total_prompt_time_sec for run in runs),
                "decode_tokens_per_s": max(run.avg_compl_tok_per_sec for run in runs),
            }
        )
    )


if __name__ == "__main__":
    main()
