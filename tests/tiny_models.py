"""Makes a tiny random Qwen2-VL checkpoint folder, as transformers and vLLM load it."""

from pathlib import Path
from typing import Any

IMAGE_PX = 64
PATCH_PX = 8
MERGE = 2
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
# Words that must be one token each, so that verdicts such as "yes" can be read off one position.
WORDS = ("yes", "no", "Yes", "No", "user", "assistant", "system", "red", "blue", "green", "circle")

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}{{ part['text'] }}{% endfor %}{% endif %}"
    "{{ '<|im_end|>' }}"
    "{% endgeneration %}"
    "{% elif message['content'] is string %}{{ message['content'] + '<|im_end|>' }}"
    "{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% elif part['type'] in ['image', 'image_url'] or part.get('image') or part.get('image_url') %}"
    "{{ '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{% elif part.get('text') %}{{ part['text'] }}"
    "{% endif %}"
    "{% endfor %}"
    "{{ '<|im_end|>' }}"
    "{% endif %}"
    "{{ '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def make_tiny_qwen(folder: Path, *, seed: int = 0, layers: int = 2) -> Path:
    """Write a Qwen2-VL of about 0.6 M random float32 weights with its processor.

    Positions up to 4096, head size 32, every Linear's in_features a multiple of 64 (NF4). The
    weights are wider than usual so that answers depend visibly on text and image.
    """
    import torch

    torch.manual_seed(seed)
    processor = _processor()
    model = _model(processor, layers)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def make_tiny_lora(folder: Path, base: Path, *, seed: int = 1, rank: int = 4) -> Path:
    """Write a random LoRA adapter (PEFT's format) for a tiny checkpoint."""
    import json

    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    shapes = {}
    with safe_open(str(base / "model.safetensors"), "pt") as weights:
        for name in weights.keys():  # noqa: SIM118 - not a dictionary
            if name.endswith((".q_proj.weight", ".v_proj.weight")) and "visual" not in name:
                shapes[name] = weights.get_slice(name).get_shape()
    assert shapes
    tensors = {}
    for name, (out, inner) in shapes.items():
        # As PEFT names them, after the module tree of transformers 5.
        path = name.removesuffix(".weight")
        if not path.startswith("model.language_model."):
            path = "model.language_model." + path.removeprefix("model.")
        stem = f"base_model.model.{path}"
        tensors[f"{stem}.lora_A.weight"] = torch.randn(rank, inner) * 0.3
        tensors[f"{stem}.lora_B.weight"] = torch.randn(out, rank) * 0.3
    save_file(tensors, str(folder / "adapter_model.safetensors"))
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(base),
        "r": rank,
        "lora_alpha": 2 * rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": ["q_proj", "v_proj"],
        "inference_mode": True,
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def _processor() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import (
        PreTrainedTokenizerFast,
        Qwen2VLImageProcessor,
        Qwen2VLProcessor,
        Qwen2VLVideoProcessor,
    )

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([f"{word}\n" for word in WORDS for _ in range(9)], trainer)
    bpe.add_special_tokens(list(SPECIAL_TOKENS))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(SPECIAL_TOKENS[1:]),
        model_max_length=4096,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )
    pixels = {
        "patch_size": PATCH_PX,
        "merge_size": MERGE,
        "temporal_patch_size": 2,
        "min_pixels": (PATCH_PX * MERGE) ** 2,
        "max_pixels": IMAGE_PX**2,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    return Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(**pixels),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**pixels),
        chat_template=CHAT_TEMPLATE,
    )


def _model(processor: Any, layers: int) -> Any:
    from transformers import GenerationConfig, Qwen2VLConfig, Qwen2VLForConditionalGeneration

    ids = {t: processor.tokenizer.convert_tokens_to_ids(t) for t in SPECIAL_TOKENS}
    common = {
        "bos_token_id": None,
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
    }
    config = Qwen2VLConfig(
        text_config={
            "vocab_size": len(processor.tokenizer),
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_hidden_layers": layers,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 4096,
            "max_window_layers": layers,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [4, 6, 6],
            },
            "tie_word_embeddings": True,
            "initializer_range": 0.08,
            **common,
        },
        vision_config={
            "depth": 2,
            "embed_dim": 64,
            "hidden_size": 128,
            "num_heads": 2,
            "mlp_ratio": 2,
            "patch_size": PATCH_PX,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": 2,
            "initializer_range": 0.08,
        },
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=True,
        **common,
    )
    model = Qwen2VLForConditionalGeneration(config)
    # As Qwen2-VL ships it: greedy in disguise for whoever samples without saying top_k and top_p.
    model.generation_config = GenerationConfig(
        do_sample=True, top_k=1, top_p=0.001, max_new_tokens=32, **common
    )
    return model
