"""Check that packed log-probabilities equal those of the model's own call, one row at a time."""

from __future__ import annotations

import random

import torch
from _model import SIZES, build_model, build_processor
from _packing import Renderer, forward
from _tasks import JudgeTask, tokenizer_texts
from _training import collate
from PIL import Image


@torch.no_grad()
def main() -> None:
    """Print the largest difference; fail above 1e-4."""
    torch.manual_seed(0)
    processor = build_processor(tokenizer_texts())
    model = build_model(processor, SIZES["judge"]).eval()
    for parameter in model.parameters():  # far from initialisation, where all would be alike
        parameter.add_(torch.randn_like(parameter) * 0.05)
    examples = [next(JudgeTask().examples(random.Random(n))) for n in range(2)]
    packed = collate(examples, Renderer(processor))
    logps = forward(model, packed)[0].log_softmax(-1)
    got = logps.gather(1, packed.targets[:, None])[:, 0].tolist()
    want = []
    for example in examples:
        for prompt, answer in example.asks:
            parts = [{"type": "image"}, {"type": "text", "text": prompt}]
            messages = [{"role": "user", "content": parts}]
            asked = processor.apply_chat_template(messages, add_generation_prompt=True)
            messages.append({"role": "assistant", "content": answer})
            text = processor.apply_chat_template(messages).removesuffix("\n")
            image = Image.fromarray(example.image)
            n = len(processor(text=asked, images=image)["input_ids"][0])
            inputs = processor(text=text, images=image, return_tensors="pt")
            rows = model(**inputs).logits[0].log_softmax(-1)
            ids = inputs["input_ids"][0]
            want += [float(rows[k - 1, ids[k]]) for k in range(n, len(ids))]
    worst = max(abs(a - b) for a, b in zip(got, want, strict=True))
    print(f"{len(got)} answer tokens, largest difference {worst:.2e}")
    if worst > 1e-4:
        raise SystemExit("packing changes the log-probabilities")


if __name__ == "__main__":
    main()
