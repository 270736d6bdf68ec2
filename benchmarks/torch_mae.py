"""Masked autoencoder in PyTorch, in the data flow of the published code, to be timed beside.

Written anew from the paper and from the structure of facebookresearch/mae (models_mae.py): every
patch is embedded by a convolution, positions are added, a random quarter is gathered and encoded
behind a class token; the decoder appends mask tokens, puts all into raster order, predicts every
patch, and the loss averages over the masked ones. Attention is PyTorch's own fused kernel, as in
the timm of today. The position tables hold no sine: they are added, and their values cost nothing.

Source: He et al., Masked Autoencoders Are Scalable Vision Learners, 2021, arXiv:2111.06377, sec. 3
    and appendix A.
"""

import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    """Pre-norm transformer block with a hidden layer four times as wide and exact GELU."""

    def __init__(self, width, num_heads):
        super().__init__()
        self.num_heads = num_heads
        self.norm1, self.norm2 = (nn.LayerNorm(width, eps=1e-6) for _ in range(2))
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x):
        """Maps [B, N, D] to [B, N, D]."""
        batch, num_tokens, width = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(batch, num_tokens, 3, self.num_heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        x = x + self.proj(mixed.transpose(1, 2).reshape(batch, num_tokens, width))
        return x + self.mlp(self.norm2(x))


class MAE(nn.Module):
    """Encoder and decoder; calling it gives the loss of a batch of images [B, C, H, W]."""

    def __init__(
        self, *, image_size, patch_size, width, depth, num_heads, decoder, mask_ratio, channels=3
    ):
        super().__init__()
        decoder_width, decoder_depth, decoder_heads = decoder
        num_patches = (image_size // patch_size) ** 2
        self.patch_size, self.mask_ratio = patch_size, mask_ratio
        self.embedding = nn.Conv2d(channels, width, patch_size, stride=patch_size)
        self.class_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.register_buffer("position", torch.randn(1, num_patches + 1, width) * 0.5)
        self.blocks = nn.Sequential(*(Block(width, num_heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.decoder_embedding = nn.Linear(width, decoder_width)
        self.mask_token = nn.Parameter(torch.randn(1, 1, decoder_width) * 0.02)
        shape = (1, num_patches + 1, decoder_width)
        self.register_buffer("decoder_position", torch.randn(shape) * 0.5)
        self.decoder_blocks = nn.Sequential(
            *(Block(decoder_width, decoder_heads) for _ in range(decoder_depth))
        )
        self.decoder_norm = nn.LayerNorm(decoder_width, eps=1e-6)
        self.prediction = nn.Linear(decoder_width, patch_size**2 * channels)

    def forward(self, images):
        """The mean squared error of the masked patches, a scalar."""
        x = self.embedding(images).flatten(2).transpose(1, 2) + self.position[:, 1:]
        batch, num_patches, width = x.shape
        num_kept = int(num_patches * (1 - self.mask_ratio))
        order = torch.rand(batch, num_patches, device=x.device).argsort(dim=1)
        restore = order.argsort(dim=1)
        x = torch.gather(x, 1, order[:, :num_kept, None].expand(-1, -1, width))
        token = (self.class_token + self.position[:, :1]).expand(batch, -1, -1)
        x = self.norm(self.blocks(torch.cat([token, x], dim=1)))

        x = self.decoder_embedding(x)
        masks = self.mask_token.expand(batch, num_patches - num_kept, -1)
        # Under autocast the embedding is bfloat16 and the token float32; gather wants one dtype.
        rows = torch.cat([x[:, 1:].to(masks.dtype), masks], dim=1)
        rows = torch.gather(rows, 1, restore[:, :, None].expand(-1, -1, rows.shape[-1]))
        x = torch.cat([x[:, :1].to(masks.dtype), rows], dim=1) + self.decoder_position
        prediction = self.prediction(self.decoder_norm(self.decoder_blocks(x)))[:, 1:]

        target = self.patches(images)
        mean, variance = target.mean(-1, keepdim=True), target.var(-1, keepdim=True)
        errors = ((prediction - (target - mean) / (variance + 1e-6) ** 0.5) ** 2).mean(-1)
        masked = (restore >= num_kept).to(errors.dtype)
        return (errors * masked).sum() / masked.sum()

    def patches(self, images):
        """Patches of images [B, C, H, W] in raster order, values (row, column, channel)."""
        size = self.patch_size
        cut = images.unfold(2, size, size).unfold(3, size, size)  # B C rows columns p q
        return cut.permute(0, 2, 3, 4, 5, 1).flatten(3).flatten(1, 2)
