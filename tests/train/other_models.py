"""Tiny random checkpoints of other families: LLaVA, Idefics3, Qwen2.5-VL, Gemma 3."""

from pathlib import Path
from typing import Any

WORDS = ("red", "blue", "green", "color", "user", "assistant")
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] + ': ' }}"
    "{% for p in m['content'] %}"
    "{% if p['type'] == 'image' %}{{ IMAGE }}{% else %}{{ p['text'] }}{% endif %}"
    "{% endfor %}{{ '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)
TEXT = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
    "initializer_range": 0.08,
}


def tokenizer(special: tuple[str, ...], **named: str) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=280, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator([f"{word}\n" for word in WORDS for _ in range(9)], trainer)
    bpe.add_special_tokens(["<|pad|>", "<|end|>", *special])
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token="<|end|>",
        pad_token="<|pad|>",
        extra_special_tokens=named or list(special),
        model_max_length=2048,
    )


def ids(tok: Any) -> dict[str, Any]:
    return {
        "vocab_size": len(tok),
        "bos_token_id": None,
        "eos_token_id": tok.eos_token_id,
        "pad_token_id": tok.pad_token_id,
    }


def make_llava(folder: Path) -> Path:
    from transformers import (
        CLIPImageProcessor,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    tok = tokenizer(("<image>",))
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessor(
            size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
        ),
        tokenizer=tok,
        patch_size=8,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token="<image>",
        chat_template=TEMPLATE.replace("IMAGE", "'<image>\n'"),
    )
    config = LlavaConfig(
        vision_config={
            "model_type": "clip_vision_model",
            "hidden_size": 64,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
            "projection_dim": 64,
        },
        text_config={"model_type": "llama", **TEXT, **ids(tok)},
        image_token_id=tok.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-2,
    )
    return _save(LlavaForConditionalGeneration(config), processor, folder)


def make_idefics3(folder: Path) -> Path:
    from transformers import (
        Idefics3Config,
        Idefics3ForConditionalGeneration,
        Idefics3ImageProcessor,
        Idefics3Processor,
    )

    grid = tuple(f"<row_{r}_col_{c}>" for r in range(1, 4) for c in range(1, 4))
    special = ("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *grid)
    tok = tokenizer(special)
    processor = Idefics3Processor(
        image_processor=Idefics3ImageProcessor(
            size={"longest_edge": 64}, max_image_size={"longest_edge": 32}, do_image_splitting=True
        ),
        tokenizer=tok,
        image_seq_len=4,
        chat_template=TEMPLATE.replace("IMAGE", "'<image>'"),
    )
    config = Idefics3Config(
        vision_config={
            "hidden_size": 64,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
        },
        text_config={"model_type": "llama", **TEXT, **ids(tok)},
        image_token_id=tok.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        tie_word_embeddings=False,
        pad_token_id=tok.pad_token_id,
    )
    return _save(Idefics3ForConditionalGeneration(config), processor, folder)


def make_qwen25(folder: Path) -> Path:
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    names = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
    tok = tokenizer(names)
    pixels = {
        "patch_size": 8,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "min_pixels": 16 * 16,
        "max_pixels": 64 * 64,
    }
    mark = "'<|vision_start|><|image_pad|><|vision_end|>'"
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**pixels),
        tokenizer=tok,
        video_processor=Qwen2VLVideoProcessor(**pixels),
        chat_template=TEMPLATE.replace("IMAGE", mark),
    )
    config = Qwen2_5_VLConfig(
        text_config={
            **TEXT,
            **ids(tok),
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [4, 6, 6],
            },
        },
        vision_config={
            "depth": 2,
            "hidden_size": 64,
            "out_hidden_size": 64,
            "intermediate_size": 128,
            "num_heads": 2,
            "patch_size": 8,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 32,
            "fullatt_block_indexes": [1],
        },
        image_token_id=tok.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tok.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=tok.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=tok.convert_tokens_to_ids("<|vision_end|>"),
    )
    return _save(Qwen2_5_VLForConditionalGeneration(config), processor, folder)


def make_gemma3(folder: Path) -> Path:
    from transformers import (
        Gemma3Config,
        Gemma3ForConditionalGeneration,
        Gemma3ImageProcessor,
        Gemma3Processor,
    )

    special = ("<start_of_image>", "<end_of_image>", "<image_soft_token>")
    names = ("boi_token", "eoi_token", "image_token")
    tok = tokenizer(special, **dict(zip(names, special, strict=True)))
    processor = Gemma3Processor(
        image_processor=Gemma3ImageProcessor(size={"height": 32, "width": 32}),
        tokenizer=tok,
        image_seq_length=4,
        chat_template=TEMPLATE.replace("IMAGE", "'<start_of_image>'"),
    )
    config = Gemma3Config(
        vision_config={
            "hidden_size": 64,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 32,
            "patch_size": 8,
            "vision_use_head": False,
        },
        text_config={**TEXT, **ids(tok), "head_dim": 32, "sliding_window": 64},
        mm_tokens_per_image=4,
        boi_token_index=tok.boi_token_id,
        eoi_token_index=tok.eoi_token_id,
        image_token_index=tok.image_token_id,
    )
    return _save(Gemma3ForConditionalGeneration(config), processor, folder)


def _save(model: Any, processor: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


MAKERS = {
    "llava": make_llava,
    "idefics3": make_idefics3,
    "qwen2.5-vl": make_qwen25,
    "gemma3": make_gemma3,
}
