"""The optimisers: Muon for matrices, AdamW for tables of rows and for vectors."""

import torch


def orthogonalise(g, precision):
    """Newton-Schulz iteration of Muon (Jordan et al. 2024) on a stack of matrices [n, rows, columns]."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.to(precision)
    flip = x.shape[1] > x.shape[2]
    if flip:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        s = x @ x.mT
        x = a * x + (b * s + c * s @ s) @ x
    return (x.mT if flip else x).float()


class Muon(torch.optim.Optimizer):
    """Matrices of one shape are orthogonalised together."""

    def __init__(self, params, lr, precision, momentum=0.95, decay=0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "decay": decay})
        self.precision = precision

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            shapes = {}
            for p in group["params"]:
                shapes.setdefault(p.shape, []).append(p)
            for shape, params in shapes.items():
                gradients = [p.grad for p in params]
                momenta = [self.state[p].setdefault("momentum", torch.zeros_like(p)) for p in params]
                torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
                updates = torch._foreach_lerp(gradients, momenta, group["momentum"])
                scale = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                turned = list(orthogonalise(torch.stack(updates), self.precision))
                torch._foreach_mul_(params, 1 - group["lr"] * group["decay"])
                torch._foreach_add_(params, turned, alpha=-scale)


class Optimisers:
    """Both optimisers of a model, whose rates rise and fall together."""

    def __init__(self, model, matrix_rate: float, vector_rate: float, bf16: bool):
        is_matrix = {n: p.ndim == 2 and "embed" not in n for n, p in model.named_parameters()}
        matrices = [p for n, p in model.named_parameters() if is_matrix[n]]
        self.vectors = [p for n, p in model.named_parameters() if not is_matrix[n]]
        self.rates = (matrix_rate, vector_rate)
        self.muon = Muon(matrices, matrix_rate, torch.bfloat16 if bf16 else torch.float32, decay=0.05)
        self.adam = torch.optim.AdamW(self.vectors, vector_rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True)

    def step(self, step: int, factor: float):
        """One update with `factor` times the rates; the gradients are then gone."""
        for optimiser, rate in zip((self.muon, self.adam), self.rates):
            optimiser.param_groups[0]["lr"] = rate * factor
        self.muon.param_groups[0]["momentum"] = 0.85 + 0.1 * min(1, step / 300)
        torch.nn.utils.clip_grad_norm_(self.vectors, 1.0)
        self.muon.step()
        self.adam.step()
        self.muon.zero_grad()
        self.adam.zero_grad()

    def state(self) -> dict:
        return {"muon": self.muon.state_dict(), "adam": self.adam.state_dict()}

    def restore(self, state: dict):
        self.muon.load_state_dict(state["muon"])
        self.adam.load_state_dict(state["adam"])
