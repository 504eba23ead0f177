"""Writes a checkpoint as a Hugging Face Llama folder: export.py CHECKPOINT TOKENIZER.json OUT_DIR [--half]"""

import argparse
import json
import pathlib
import shutil

import torch
from safetensors.torch import save_file

from model import Config

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("checkpoint")
parser.add_argument("tokenizer")
parser.add_argument("out_dir")
parser.add_argument("--half", action="store_true", help="store f16 instead of f32")
args = parser.parse_args()

saved = torch.load(args.checkpoint, weights_only=True)
dtype = torch.float16 if args.half else torch.float32
out = pathlib.Path(args.out_dir)
out.mkdir(parents=True, exist_ok=True)
tensors = {name: t.to(dtype).contiguous() for name, t in sorted(saved["model"].items())}
save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
config = Config(**saved["config"]).hugging_face()
config["torch_dtype"] = str(dtype).removeprefix("torch.")
(out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
shutil.copyfile(args.tokenizer, out / "tokenizer.json")
print(f"{sum(t.numel() for t in tensors.values())} parameters, {saved['seen']} tokens seen -> {out}")
