"""What can be done with nodes. One public function is one act and one transaction."""

from nodes.services.capabilities import CapabilitiesRefused as CapabilitiesRefused
from nodes.services.capabilities import record_capabilities as record_capabilities
from nodes.services.joining import JoinRefused as JoinRefused
from nodes.services.joining import JoinTokenUsed as JoinTokenUsed
from nodes.services.joining import NodeKeyInUse as NodeKeyInUse
from nodes.services.joining import create_join_token as create_join_token
from nodes.services.joining import join as join
from nodes.services.living import NothingToSell as NothingToSell
from nodes.services.living import appeal as appeal
from nodes.services.living import drain as drain
from nodes.services.living import quarantine as quarantine
from nodes.services.living import record_heartbeat as record_heartbeat
from nodes.services.living import release_from_quarantine as release_from_quarantine
from nodes.services.living import resume as resume
from nodes.services.living import retire as retire
from nodes.services.probation import name_validator as name_validator
from nodes.services.probation import record_validations as record_validations
from nodes.services.steps import NotYourNode as NotYourNode
from nodes.services.steps import StepRefused as StepRefused
from nodes.services.terms import SharesRefused as SharesRefused
from nodes.services.terms import set_shares as set_shares
from nodes.services.terms import set_terms as set_terms
