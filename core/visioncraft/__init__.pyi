"""The public names of VisionCraft, each once: what plugins may import, and where it is defined."""

__all__: list[str]

from ._version import (
    PLUGIN_API as PLUGIN_API,
    __version__ as __version__,
)
from .access.scopes import (
    SCOPES as SCOPES,
    require as require,
)
from .api.errors import (
    envelope as envelope,
    error_headers as error_headers,
    status_of as status_of,
    whole_message as whole_message,
)
from .api.intake import (
    IdempotencyKey as IdempotencyKey,
)
from .api.needs import (
    needs as needs,
)
from .api.streaming import (
    base64_of as base64_of,
    spliced as spliced,
    warnings_header as warnings_header,
)
from .api_keys import (
    ApiKeys as ApiKeys,
    KeyService as KeyService,
)
from .cli.replay import (
    replay as replay,
)
from .credentials import (
    credentials as credentials,
)
from .decoding import (
    Decoders as Decoders,
)
from .engines.devices import (
    free_memory_gb as free_memory_gb,
    has_bf16 as has_bf16,
    probe_device as probe_device,
)
from .engines.lanczos import (
    LANCZOS as LANCZOS,
    enlarged as enlarged,
    is_lanczos as is_lanczos,
)
from .engines.model_cache import (
    ModelCache as ModelCache,
    Shelf as Shelf,
)
from .engines.openmp import (
    with_patient_threads as with_patient_threads,
)
from .errors import (
    AuthenticationError as AuthenticationError,
    ConfigurationError as ConfigurationError,
    GenerationFailed as GenerationFailed,
    InsufficientVRAM as InsufficientVRAM,
    InvalidRequest as InvalidRequest,
    JobCancelled as JobCancelled,
    ModelNotAvailable as ModelNotAvailable,
    NotFound as NotFound,
    PluginError as PluginError,
    RateLimitExceeded as RateLimitExceeded,
    ServiceUnavailable as ServiceUnavailable,
    StorageError as StorageError,
    StorageUnavailable as StorageUnavailable,
    UpstreamError as UpstreamError,
    VisionCraftError as VisionCraftError,
    WorkerLost as WorkerLost,
)
from .files import (
    FoundFile as FoundFile,
    check_regular as check_regular,
    find_below as find_below,
    is_bystander as is_bystander,
    read_bounded as read_bounded,
    read_json_object as read_json_object,
    state_of as state_of,
)
from .gallery.export import (
    zip_stream as zip_stream,
    zipped as zipped,
)
from .gallery.memory import (
    page_of as page_of,
    paginate as paginate,
)
from .gallery.search import (
    search_terms as search_terms,
)
from .images.metadata import (
    a1111_parameters as a1111_parameters,
    png_chunks as png_chunks,
)
from .images.png import (
    converted as converted,
    decode_png as decode_png,
    encode_png as encode_png,
    read_record as read_record,
    read_record_file as read_record_file,
    webp_thumbnail as webp_thumbnail,
    with_record as with_record,
)
from .images.texts import (
    texts_of as texts_of,
)
from .jobs.job import (
    Job as Job,
)
from .jobs.ledger.contract import (
    KeyTaken as KeyTaken,
    Lease as Lease,
    LeaseLost as LeaseLost,
    Ledger as Ledger,
    LedgerFactory as LedgerFactory,
    SetAside as SetAside,
)
from .jobs.ledger.rows import (
    DamagedRow as DamagedRow,
    job_of as job_of,
    row_of as row_of,
)
from .plugins.contracts import (
    Generator as Generator,
    ImageStore as ImageStore,
    KeyCheck as KeyCheck,
    ModelKeeper as ModelKeeper,
    Progress as Progress,
)
from .plugins.hookspecs import (
    hookimpl as hookimpl,
)
from .plugins.service import (
    Dialect as Dialect,
    Service as Service,
)
from .printing import (
    whole_text as whole_text,
)
from .settings import (
    PluginSettings as PluginSettings,
    Settings as Settings,
)
from .types.editing import (
    Control as Control,
    Fit as Fit,
    FittedImage as FittedImage,
    Hires as Hires,
    ImageFacts as ImageFacts,
    InputImage as InputImage,
    LoRA as LoRA,
    Mask as Mask,
    MaskReading as MaskReading,
)
from .types.gallery import (
    ALL_IMAGES as ALL_IMAGES,
    EVERYTHING as EVERYTHING,
    FACT_LEFT_OUT as FACT_LEFT_OUT,
    FACT_ORIGINAL_SEED as FACT_ORIGINAL_SEED,
    LEFT_OUT as LEFT_OUT,
    ORIGINAL_SEED as ORIGINAL_SEED,
    GalleryQuery as GalleryQuery,
    ImageRecord as ImageRecord,
    Marks as Marks,
    Page as Page,
    Sort as Sort,
    tag_key as tag_key,
)
from .types.generation import (
    GeneratedImage as GeneratedImage,
    GenerationRequest as GenerationRequest,
    steps_taken as steps_taken,
)
from .types.identity import (
    Authenticator as Authenticator,
    Identity as Identity,
    identity_of_request as identity_of_request,
)
from .types.ids import (
    image_filename as image_filename,
    is_image_id as is_image_id,
    new_image_id as new_image_id,
)
from .types.jobs import (
    JobEvent as JobEvent,
    JobState as JobState,
    JobView as JobView,
)
from .types.models import (
    Ability as Ability,
    ExportedModel as ExportedModel,
    Limits as Limits,
    ModelInfo as ModelInfo,
    StoredModel as StoredModel,
    canonical_id as canonical_id,
    model_folder as model_folder,
    model_id_of as model_id_of,
)
from .types.naming import (
    ByName as ByName,
    NamedFile as NamedFile,
    ids_for as ids_for,
    name_key as name_key,
    named_files as named_files,
)
from .types.parameters import (
    Defaults as Defaults,
    Parameter as Parameter,
)
from .types.status import (
    BackendStatus as BackendStatus,
    DeviceInfo as DeviceInfo,
)
from .workers.pool import (
    HostedGenerator as HostedGenerator,
    PoolFactory as PoolFactory,
    WorkerPool as WorkerPool,
)
