"""What SillyTavern's page asks its server for, and that sends on as it is."""

from __future__ import annotations

from typing import Any

PASSWORD = "somebodys-password-for-sillytavern"


def sillytavern(**further: Any) -> dict[str, Any]:
    """Of src/endpoints/stable-diffusion.js and its page, 1.19.0; `auth` is the user's password."""
    return {
        "url": "http://127.0.0.1:7860",
        "auth": f"me:{PASSWORD}",
        "prompt": "a character, smiling",
        "negative_prompt": "blurry",
        "sampler_name": "DPM++ 2M",
        "scheduler": "Karras",
        "steps": 20,
        "cfg_scale": 7,
        "width": 64,
        "height": 64,
        "restore_faces": False,
        "enable_hr": False,
        "hr_upscaler": "Latent",
        "hr_scale": 2,
        "hr_additional_modules": [],
        "denoising_strength": 0.7,
        "hr_second_pass_steps": 0,
        "seed": 11,
        "override_settings": {"CLIP_stop_at_last_layers": 2, "sd_vae": "Automatic"},
        "override_settings_restore_afterwards": True,
        "clip_skip": 2,
        "save_images": True,
        "send_images": True,
        "do_not_save_grid": False,
        "do_not_save_samples": False,
        **further,
    }
