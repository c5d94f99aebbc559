"""What can be done with files and models. One public function is one act and one transaction."""

from registry.services.drafting import Draft as Draft
from registry.services.drafting import DraftIncomplete as DraftIncomplete
from registry.services.drafting import Upload as Upload
from registry.services.drafting import draft_manifest as draft_manifest
from registry.services.files import FileRefused as FileRefused
from registry.services.publisher_keys import PublisherKeyInUse as PublisherKeyInUse
from registry.services.publisher_keys import PublisherProofInvalid as PublisherProofInvalid
from registry.services.publisher_keys import register_publisher_key as register_publisher_key
from registry.services.publisher_keys import revoke_publisher_key as revoke_publisher_key
from registry.services.publishing import FilesMissing as FilesMissing
from registry.services.publishing import ManifestRefused as ManifestRefused
from registry.services.publishing import ModelNameTaken as ModelNameTaken
from registry.services.publishing import NotYourModel as NotYourModel
from registry.services.publishing import PublisherKeyUnknown as PublisherKeyUnknown
from registry.services.publishing import SummaryTooLong as SummaryTooLong
from registry.services.publishing import VersionExists as VersionExists
from registry.services.publishing import describe_model as describe_model
from registry.services.publishing import publish_version as publish_version
from registry.services.publishing import withdraw_version as withdraw_version
from registry.services.publishing import withdraw_version_for_cooperative as withdraw_version_for_cooperative
from registry.services.storing import DigestMismatch as DigestMismatch
from registry.services.storing import SizeMismatch as SizeMismatch
from registry.services.storing import clean_drafts as clean_drafts
from registry.services.storing import grant_blob as grant_blob
from registry.services.storing import store_blob as store_blob
from registry.services.storing import store_small as store_small
