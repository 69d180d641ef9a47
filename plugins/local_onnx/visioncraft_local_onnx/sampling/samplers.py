"""The samplers' own steps. Each stands beside the paper whose equations it computes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from visioncraft_local_onnx.arrays import Floats
from visioncraft_local_onnx.sampling.base import AlphaSampler, Draw, SigmaSampler
from visioncraft_local_onnx.sampling.schedule import Schedule, karras, read_schedule, timesteps_of


class DDIM(AlphaSampler):
    """Denoising diffusion implicit models (https://arxiv.org/abs/2010.02502), equation 12 without noise."""

    def step(self, output: Floats, call: int, latents: Floats, draw: Draw) -> Floats:
        timestep = int(self.timesteps[call])
        alpha = self._alpha(timestep)
        after = self._alpha(timestep - self.schedule.training_steps // self.steps)
        clean = self._clean(output, latents, alpha)
        return np.sqrt(after) * clean + np.sqrt(1 - after) * self._noise_in(output, latents, alpha, clean)

    def _noise_in(self, output: Floats, latents: Floats, alpha: np.float32, clean: Floats) -> Floats:
        if self._is("epsilon"):
            return output
        if self._is("v_prediction"):
            return np.sqrt(alpha) * output + np.sqrt(1 - alpha) * latents
        return (latents - np.sqrt(alpha) * clean) / np.sqrt(1 - alpha)


class PNDM(AlphaSampler):
    """Pseudo linear multistep (https://arxiv.org/abs/2202.09778), without Runge-Kutta's steps at the start.

    Its first step is taken twice, so the denoiser is called once more than there are steps.
    """

    signal_at_end = False

    def __init__(self, schedule: Schedule, steps: int, clip: bool = False) -> None:
        # It divides by the signal that is left: of a schedule without any at the start, diffusers takes the plain one.
        super().__init__(read_schedule({**schedule.config, "rescale_betas_zero_snr": False}), steps)
        again = self.timesteps[1:2] if steps > 1 else self.timesteps[:0]
        self.timesteps = np.concatenate([self.timesteps[:1], again, self.timesteps[1:]])
        self._made = 0
        self._outputs: list[Floats] = []
        self._first: Floats | None = None

    def step(self, output: Floats, call: int, latents: Floats, draw: Draw) -> Floats:
        stride = self.schedule.training_steps // self.steps
        timestep = int(self.timesteps[call])
        self._made += 1  # counted, since calls before a picture to begin from are left out
        again = self._made == 2
        before, after = (timestep + stride, timestep) if again else (timestep, timestep - stride)
        if again and self._first is not None:
            output, latents = (output + self._outputs[-1]) / 2, self._first
        else:
            self._first = latents
            self._outputs = [*self._outputs[-3:], output]
            output = self._combined()
        return self._moved(latents, before, after, output)

    def _combined(self) -> Floats:
        """The slope by Adams and Bashforth, of as many earlier ones as there are."""
        e = self._outputs
        if len(e) == 1:
            return e[0]
        if len(e) == 2:
            return (3 * e[1] - e[0]) / 2
        if len(e) == 3:
            return (23 * e[2] - 16 * e[1] + 5 * e[0]) / 12
        return (55 * e[3] - 59 * e[2] + 37 * e[1] - 9 * e[0]) / 24

    def _moved(self, latents: Floats, before: int, after: int, output: Floats) -> Floats:
        """Equation 11 of the paper."""
        alpha, next_alpha = self._alpha(before), self._alpha(after)
        if self._is("v_prediction"):
            output = np.sqrt(alpha) * output + np.sqrt(1 - alpha) * latents
        divisor = alpha * np.sqrt(1 - next_alpha) + np.sqrt(alpha * (1 - alpha) * next_alpha)
        return np.sqrt(next_alpha / alpha) * latents - (next_alpha - alpha) * output / divisor


class LCM(AlphaSampler):
    """Latent consistency models (https://arxiv.org/abs/2310.04378): few steps, fresh noise after each but the last."""

    def __init__(self, schedule: Schedule, steps: int, clip: bool = False) -> None:
        super().__init__(schedule, steps, clip)
        trained = int(schedule.config.get("original_inference_steps", 50))
        origin = np.arange(trained, 0, -1) * (schedule.training_steps // trained) - 1
        self.timesteps = origin[np.floor(np.linspace(0, trained, steps, endpoint=False)).astype(np.int64)]
        self._scaling = float(schedule.config.get("timestep_scaling", 10.0))

    def step(self, output: Floats, call: int, latents: Floats, draw: Draw) -> Floats:
        timestep = int(self.timesteps[call])
        clean = self._clean(output, latents, self._alpha(timestep))
        skip, out = self._boundary(timestep)
        clean = np.float32(out) * clean + np.float32(skip) * latents
        if call == len(self.timesteps) - 1:
            return clean
        after = self._alpha(int(self.timesteps[call + 1]))
        return np.sqrt(after) * clean + np.sqrt(1 - after) * draw()

    def _boundary(self, timestep: int) -> tuple[float, float]:
        """How much of the input and of the prediction counts (equation 7 and appendix C of the paper)."""
        scaled, sigma = timestep * self._scaling, 0.5
        return sigma**2 / (scaled**2 + sigma**2), scaled / (scaled**2 + sigma**2) ** 0.5


class Euler(SigmaSampler):
    """Euler's method on the probability flow (https://arxiv.org/abs/2206.00364, algorithm 2 without churn)."""

    def __init__(self, schedule: Schedule, steps: int, spaced: bool = False) -> None:
        super().__init__(schedule, steps, spaced)
        highest = self.sigmas.max()
        leading = schedule.config.get("timestep_spacing", self.spacing) == "leading"
        self.start_scale = np.float32(np.sqrt(highest**2 + 1) if leading else highest)

    def scale_input(self, latents: Floats, call: int) -> Floats:
        return latents / np.sqrt(self.sigmas[call] ** 2 + 1)

    def step(self, output: Floats, call: int, latents: Floats, draw: Draw) -> Floats:
        sigma, after = self.sigmas[call], self.sigmas[call + 1]
        return latents + (latents - self._clean(output, latents, sigma)) / sigma * (after - sigma)

    def noised(self, clean: Floats, noise: Floats, call: int) -> Floats:
        return clean + self.sigmas[call] * noise

    def _clean(self, output: Floats, latents: Floats, sigma: np.float32) -> Floats:
        if self._is("epsilon"):
            return latents - sigma * output
        if self._is("v_prediction"):
            power = sigma**2 + 1
            return output * (-sigma / np.sqrt(power)) + latents / power
        return output


class EulerAncestral(Euler):
    """Euler's method that goes further down than the next sigma and adds noise up to it (k-diffusion's)."""

    def step(self, output: Floats, call: int, latents: Floats, draw: Draw) -> Floats:
        sigma, after = self.sigmas[call], self.sigmas[call + 1]
        up = np.sqrt(after**2 * (sigma**2 - after**2) / sigma**2)
        down = np.sqrt(after**2 - up**2)
        moved = latents + (latents - self._clean(output, latents, sigma)) / sigma * (down - sigma)
        return moved + draw() * up


class DPM2M(SigmaSampler):
    """DPM-Solver++ of second order, multistep (https://arxiv.org/abs/2211.01095, algorithm 2)."""

    def __init__(self, schedule: Schedule, steps: int, spaced: bool = False) -> None:
        super().__init__(schedule, steps, spaced)
        self._before: Floats | None = None

    def step(self, output: Floats, call: int, latents: Floats, draw: Draw) -> Floats:
        alpha, sigma = self._parts(call)
        clean = self._clean(output, latents, alpha, sigma)
        before, self._before = self._before, clean
        next_alpha, next_sigma = self._parts(call + 1)
        with np.errstate(divide="ignore"):  # at the end no noise is left, and its logarithm is infinite
            step = self._log_snr(call + 1) - self._log_snr(call)
        factor = next_alpha * np.expm1(-step)
        moved = next_sigma / sigma * latents - factor * clean
        if before is None or self._plainly(call):
            return moved
        ratio = (self._log_snr(call) - self._log_snr(call - 1)) / step
        return moved - np.float32(0.5) * factor * ((clean - before) / ratio)

    def noised(self, clean: Floats, noise: Floats, call: int) -> Floats:
        alpha, sigma = self._parts(call)
        return alpha * clean + sigma * noise

    def _plan(self, known: Floats, spaced: bool) -> tuple[NDArray[Any], NDArray[np.float64]]:
        if spaced:
            sigmas = karras(float(known[0]), float(known[-1]), self.steps)
            timesteps = timesteps_of(sigmas, known)
            cosine = self.schedule.config.get("beta_schedule") == "squaredcos_cap_v2"  # diffusers cuts there
            return (timesteps if cosine else timesteps.round()).astype(np.int64), sigmas
        timesteps = self._whole_steps()
        return timesteps, np.asarray(np.interp(timesteps, np.arange(len(known)), known))

    def _whole_steps(self) -> Any:
        """One step more than asked for is planned and the last left out, since no noise is left there."""
        if self.schedule.config.get("timestep_spacing", self.spacing) == "trailing":
            return self.schedule.timesteps(self.steps, self.spacing).astype(np.int64)
        return self.schedule.timesteps(self.steps + 1, self.spacing)[:-1].round().astype(np.int64)

    def _parts(self, call: int) -> tuple[np.float32, np.float32]:
        """The shares of signal and of noise in the latents, by amplitude."""
        alpha = np.float32(1 / np.sqrt(self.sigmas[call] ** 2 + 1))
        return alpha, self.sigmas[call] * alpha

    def _log_snr(self, call: int) -> np.float32:
        alpha, sigma = self._parts(call)
        return np.float32(np.log(alpha) - np.log(sigma))

    def _clean(self, output: Floats, latents: Floats, alpha: np.float32, sigma: np.float32) -> Floats:
        if self._is("epsilon"):
            return (latents - sigma * output) / alpha
        return alpha * latents - sigma * output if self._is("v_prediction") else output

    def _plainly(self, call: int) -> bool:
        """Whether the last step is one of first order, as few steps and a sigma of zero demand."""
        if call != len(self.timesteps) - 1:
            return False
        config = self.schedule.config
        few = bool(config.get("lower_order_final", True)) and len(self.timesteps) < 15
        return few or bool(config.get("euler_at_final")) or config.get("final_sigmas_type", "zero") == "zero"
