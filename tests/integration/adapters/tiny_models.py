"""Tiny networks of the real architectures, with random weights, made from nothing: no hub, no files, no network."""

from __future__ import annotations

import os
from typing import Any

os.environ.update(
    HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", TOKENIZERS_PARALLELISM="false"
)

import numpy as np

WORDS = "a photo of cat dog what is this the red blue yes no user assistant digit zero one two"
RATE = 16_000
CHAT = (
    "{% for m in messages %}{{ m['role'] }} {% if m['content'] is string %}{{ m['content'] }} {% else %}"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}<image> {% else %}{{ c['text'] }} {% endif %}{% endfor %}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}assistant {% endif %}"
)
_SMALL = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 2}
_MARKS = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def picture(seed: int = 0, size: int = 32) -> Any:
    from PIL import Image

    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (size, size, 3), dtype=np.uint8))


def tone(seconds: float = 1.0, hertz: float = 440.0) -> Any:
    return np.sin(np.arange(int(RATE * seconds)) * 2 * np.pi * hertz / RATE).astype(np.float32) * 0.5


def word_tokenizer(extra: tuple[str, ...] = (), **options: Any) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate(["<pad>", "<s>", "</s>", "<unk>", *extra, *WORDS.split()])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        additional_special_tokens=list(extra),
        **options,
    )


def clip() -> tuple[Any, Any]:
    """(CLIPModel, CLIPProcessor)."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPProcessor

    tokenizer = word_tokenizer(model_max_length=16)
    torch.manual_seed(0)
    config = CLIPConfig(
        text_config={**_SMALL, **_MARKS, "vocab_size": len(tokenizer), "max_position_embeddings": 16},
        vision_config={**_SMALL, "image_size": 30, "patch_size": 6},
        projection_dim=16,
    )
    images = CLIPImageProcessorPil(size={"shortest_edge": 30}, crop_size={"height": 30, "width": 30})
    return CLIPModel(config).eval(), CLIPProcessor(image_processor=images, tokenizer=tokenizer)


def llava() -> tuple[Any, Any]:
    """(LlavaForConditionalGeneration, LlavaProcessor)."""
    import torch
    from transformers import (
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
    )

    tokenizer = word_tokenizer(extra=("<image>",))
    torch.manual_seed(0)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**_SMALL, image_size=30, patch_size=6, projection_dim=16),
        text_config=LlamaConfig(
            vocab_size=len(tokenizer), **_SMALL, **_MARKS, num_key_value_heads=2, max_position_embeddings=256
        ),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
    )
    model = LlavaForConditionalGeneration(config).eval()
    model.generation_config.update(**_MARKS)
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(size={"shortest_edge": 30}, crop_size={"height": 30, "width": 30}),
        tokenizer=tokenizer,
        patch_size=6,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT,
        image_token="<image>",
    )
    return model, processor


def vilt() -> tuple[Any, Any]:
    """(ViltForQuestionAnswering, ViltProcessor)."""
    import torch
    from transformers import ViltConfig, ViltForQuestionAnswering, ViltImageProcessorPil, ViltProcessor

    tokenizer = word_tokenizer(model_max_length=16)
    torch.manual_seed(0)
    names = ["yes", "no", "red", "two"]
    config = ViltConfig(
        vocab_size=len(tokenizer),
        **_SMALL,
        image_size=32,
        patch_size=8,
        max_position_embeddings=16,
        num_labels=4,
        id2label=dict(enumerate(names)),
        label2id={name: index for index, name in enumerate(names)},
        max_image_length=-1,
    )
    images = ViltImageProcessorPil(size={"shortest_edge": 32}, size_divisor=8)
    return ViltForQuestionAnswering(config).eval(), ViltProcessor(image_processor=images, tokenizer=tokenizer)


def blip() -> tuple[Any, Any]:
    """(BlipForQuestionAnswering, BlipProcessor)."""
    import torch
    from transformers import BlipConfig, BlipForQuestionAnswering, BlipImageProcessorPil, BlipProcessor

    tokenizer = word_tokenizer(model_max_length=16)
    torch.manual_seed(0)
    config = BlipConfig(
        text_config={
            **_SMALL,
            **_MARKS,
            "vocab_size": len(tokenizer),
            "encoder_hidden_size": 32,
            "projection_dim": 16,
            "max_position_embeddings": 32,
            "sep_token_id": 2,
        },
        vision_config={**_SMALL, "image_size": 32, "patch_size": 8, "projection_dim": 16},
        projection_dim=16,
        image_text_hidden_size=16,
    )
    images = BlipImageProcessorPil(size={"height": 32, "width": 32})
    return BlipForQuestionAnswering(config).eval(), BlipProcessor(image_processor=images, tokenizer=tokenizer)


def blip_captioner() -> tuple[Any, Any]:
    """(BlipForConditionalGeneration, BlipProcessor)."""
    from transformers import BlipForConditionalGeneration

    answering, processor = blip()
    return BlipForConditionalGeneration(answering.config).eval(), processor


def whisper() -> tuple[Any, Any]:
    """(WhisperForConditionalGeneration, WhisperProcessor); it hears at most two seconds and answers in visible bytes."""
    import torch
    from tokenizers import pre_tokenizers
    from transformers import (
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
        WhisperTokenizer,
    )
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    end = "<|endoftext|>"
    tokenizer = WhisperTokenizer(
        vocab={letter: index for index, letter in enumerate(letters)},
        merges=[],
        unk_token=end,
        bos_token=end,
        eos_token=end,
        pad_token=end,
    )
    languages = [f"<|{name}|>" for name in LANGUAGES]
    others = ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|startoftranscript|>", *languages, *others]})
    tokenizer.add_tokens([f"<|{index * 0.02:.2f}|>" for index in range(1501)])
    ids = tokenizer.convert_tokens_to_ids
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=len(tokenizer),
        num_mel_bins=16,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=37,
        decoder_ffn_dim=37,
        max_source_positions=100,
        max_target_positions=32,
        decoder_start_token_id=ids("<|startoftranscript|>"),
        eos_token_id=ids(end),
        pad_token_id=ids(end),
        bos_token_id=ids(end),
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    model = WhisperForConditionalGeneration(config).eval()
    generation = model.generation_config
    generation.is_multilingual = True
    generation.lang_to_id = {name: ids(name) for name in languages}
    generation.task_to_id = {"transcribe": ids("<|transcribe|>"), "translate": ids("<|translate|>")}
    generation.no_timestamps_token_id = ids("<|notimestamps|>")
    generation.max_length = 24
    generation.language = "en"
    generation.task = "transcribe"
    generation.return_timestamps = False
    generation.suppress_tokens = list(range(256, len(tokenizer)))
    extractor = WhisperFeatureExtractor(feature_size=16, sampling_rate=RATE, chunk_length=2)
    return model, WhisperProcessor(feature_extractor=extractor, tokenizer=tokenizer)


def clap() -> tuple[Any, Any]:
    """(ClapModel, ClapProcessor)."""
    import torch
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, ClapProcessor

    tokenizer = word_tokenizer(model_max_length=16)
    torch.manual_seed(0)
    config = ClapConfig(
        text_config={
            **_SMALL,
            **_MARKS,
            "vocab_size": len(tokenizer),
            "max_position_embeddings": 64,
            "projection_dim": 16,
        },
        audio_config={
            "window_size": 4,
            "num_mel_bins": 16,
            "spec_size": 64,
            "patch_size": 4,
            "patch_stride": [4, 4],
            "patch_embeds_hidden_size": 16,
            "depths": [1, 1],
            "num_attention_heads": [2, 2],
            "hidden_size": 32,
            "num_classes": 8,
            "projection_dim": 16,
        },
        projection_dim=16,
    )
    extractor = ClapFeatureExtractor(
        feature_size=16,
        sampling_rate=RATE,
        hop_length=160,
        max_length_s=2,
        fft_window_size=400,
        frequency_max=8000,
        truncation="rand_trunc",
        padding="repeatpad",
    )
    return ClapModel(config).eval(), ClapProcessor(feature_extractor=extractor, tokenizer=tokenizer)


def text_classifier() -> tuple[Any, Any]:
    """(BertForSequenceClassification, tokenizer)."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    tokenizer = word_tokenizer(model_max_length=16)
    torch.manual_seed(0)
    names = {0: "calm", 1: "urgent"}
    config = BertConfig(
        vocab_size=len(tokenizer),
        **_SMALL,
        max_position_embeddings=32,
        id2label=names,
        label2id={"calm": 0, "urgent": 1},
    )
    return BertForSequenceClassification(config).eval(), tokenizer


def image_classifier() -> tuple[Any, Any]:
    """(ViTForImageClassification, image processor)."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessorPil

    torch.manual_seed(0)
    names = {0: "cat", 1: "dog", 2: "bird"}
    config = ViTConfig(
        **_SMALL, image_size=32, patch_size=8, id2label=names, label2id={name: index for index, name in names.items()}
    )
    return ViTForImageClassification(config).eval(), ViTImageProcessorPil(size={"height": 32, "width": 32})


def stable_diffusion() -> Any:
    """StableDiffusionPipeline without a safety checker; 32 x 32 pixels."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    tokenizer = word_tokenizer(model_max_length=16)
    unet = UNet2DConditionModel(
        block_out_channels=(4, 8),
        layers_per_block=1,
        sample_size=32,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=32,
        norm_num_groups=2,
    )
    vae = AutoencoderKL(
        block_out_channels=[4, 8],
        in_channels=3,
        out_channels=3,
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        latent_channels=4,
        norm_num_groups=2,
    )
    text = CLIPTextModel(
        CLIPTextConfig(vocab_size=len(tokenizer), **_SMALL, **_MARKS, max_position_embeddings=16)
    ).eval()
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
