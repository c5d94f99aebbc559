"""Every setting, typed, read from the environment once. docs/operating.md explains each variable."""

from pathlib import Path

from celery.schedules import schedule

from config import embedded
from config.env import env_bool, env_int, env_list, env_secret, env_str

BASE_DIR = Path(__file__).resolve().parent.parent
RUN_DIR = embedded.run_dir()
VERSION = "0.1.0"

# --- security --------------------------------------------------------------------------------------
DEBUG = env_bool("COMMONGRID_DEBUG", False)
SECRET_KEY = env_secret("COMMONGRID_SECRET_KEY", "") or embedded.local_secret_key()
ALLOWED_HOSTS = env_list("COMMONGRID_ALLOWED_HOSTS", ("127.0.0.1", "localhost"))
PUBLIC_URL = env_str("COMMONGRID_PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
IS_HTTPS = PUBLIC_URL.startswith("https://")
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
CSRF_COOKIE_SECURE = SESSION_COOKIE_SECURE = IS_HTTPS
CSRF_COOKIE_HTTPONLY = SESSION_COOKIE_HTTPONLY = True
CSRF_USE_SESSIONS = True
SECURE_SSL_REDIRECT = IS_HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if IS_HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if env_bool("COMMONGRID_BEHIND_PROXY", False) else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
        "form-action": ["'self'"],
        "object-src": ["'none'"],
    }
}

# --- parts -----------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "config",
    "ledger",
    "accounts",
    "nodes",
    "registry",
    "reputation",
    "marketplace",
    "scheduler",
    "dashboard",
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
]
MIDDLEWARE = [
    "config.health.answer_health_first",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.logs.name_requests",
    "config.metrics.count_requests",
    "config.limits.say_limits",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "dashboard.views.frame",
            ],
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# --- stores ----------------------------------------------------------------------------------------
_ENDPOINTS = embedded.endpoints()
_DATABASE = _ENDPOINTS.database
DATABASES = {
    "default": {
        **_DATABASE,
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            **_DATABASE.get("OPTIONS", {}),
            "pool": {
                "min_size": 1,
                "max_size": env_int("COMMONGRID_DB_POOL", 8, minimum=1),
                "timeout": 5,
            },
        },
    }
}
CACHES = {
    "default": {
        "BACKEND": "config.caches.SteadyCache",
        "LOCATION": _ENDPOINTS.redis_url(1),
        "OPTIONS": {"socket_timeout": 1, "socket_connect_timeout": 1},
    }
}
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [_ENDPOINTS.redis_url(2)]},
    }
}
WAKE_REDIS_URL = _ENDPOINTS.redis_url(2)
SESSION_ENGINE = "django.contrib.sessions.backends.db"
BLOB_DIR = RUN_DIR / "blobs"
BLOB_MAX_BYTES = env_int("COMMONGRID_BLOB_MAX_MIB", 512, minimum=1) * 1024 * 1024

# --- people ----------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ACCOUNT_ADAPTER = "accounts.authentication.adapters.AccountAdapter"
ACCOUNT_EMAIL_SUBJECT_PREFIX = "[Commongrid] "
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_LOGIN_BY_CODE_ENABLED = False
ACCOUNT_PREVENT_ENUMERATION = True
MFA_ADAPTER = "accounts.authentication.adapters.MfaAdapter"
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not IS_HTTPS
"""Browsers make keys over plain HTTP for http://localhost alone."""
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "home"
EMAIL_BACKEND = env_str("COMMONGRID_EMAIL_BACKEND", "django.core.mail.backends.filebased.EmailBackend")
EMAIL_FILE_PATH = RUN_DIR / "mail"
EMAIL_HOST = env_str("COMMONGRID_EMAIL_HOST", "localhost")
EMAIL_PORT = env_int("COMMONGRID_EMAIL_PORT", 25)
EMAIL_HOST_USER = env_str("COMMONGRID_EMAIL_USER", "")
EMAIL_HOST_PASSWORD = env_secret("COMMONGRID_EMAIL_PASSWORD", "")
DEFAULT_FROM_EMAIL = env_str("COMMONGRID_FROM_EMAIL", "commongrid@localhost")

# --- work ------------------------------------------------------------------------------------------
CELERY_BROKER_URL = _ENDPOINTS.celery_broker_url(3)
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_TIMEZONE = "UTC"
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 120
CELERY_TASK_SOFT_TIME_LIMIT = 90
CELERY_BROKER_TRANSPORT_OPTIONS = {
    **_ENDPOINTS.celery_transport_options(),
    "visibility_timeout": 300,
    "unacked_restore_interval": 5,
    "unacked_restore_throttle": 1,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULE = {
    name: {"task": name, "schedule": schedule(seconds), "options": {"expires": max(seconds, 2)}}
    for name, seconds in {
        "config.tasks.record_progress": 5,
        "scheduler.tasks.drain": 2,
        "scheduler.tasks.reap": 2,
        "scheduler.tasks.give_up": 30,
        "marketplace.tasks.sample_pools": 60,
        "reputation.tasks.rescore_pending": 5,
        "reputation.tasks.record_uptime": 60,
        "registry.tasks.clean_drafts": 600,
        "accounts.tasks.forget_replies": 600,
        "ledger.tasks.project_balances": 30,
        "ledger.tasks.check_ledger": 300,
    }.items()
}

# --- API -------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.authentication.TokenAuthentication",
        "accounts.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_THROTTLE_CLASSES": ["config.limits.CallThrottle"],
    "NUM_PROXIES": 0,
    "EXCEPTION_HANDLER": "config.api.problem_response",
    "UNAUTHENTICATED_USER": None,
    "URL_FORMAT_OVERRIDE": None,
}
METRICS_TOKEN = env_secret("COMMONGRID_METRICS_TOKEN", "")
RATE_LIMITS = {
    "read": env_int("COMMONGRID_RATE_READ", 3_000, minimum=0),
    "write": env_int("COMMONGRID_RATE_WRITE", 1_200, minimum=0),
    "anonymous": env_int("COMMONGRID_RATE_ANONYMOUS", 600, minimum=0),
    "node": env_int("COMMONGRID_RATE_NODE", 60_000, minimum=0),
}
"""Calls per minute; 0 is no limit."""
SPECTACULAR_SETTINGS = {
    "TITLE": "Commongrid",
    "DESCRIPTION": "Communities own AI compute together.",
    "VERSION": VERSION,
    "OAS_VERSION": "3.1.1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "common.openapi.describe_all",
    ],
}

# --- words, files, time ----------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
LANGUAGE_COOKIE_AGE = 365 * 24 * 3600
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_SECURE = IS_HTTPS
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = True
STATIC_URL = "static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"},
        "json": {"()": "config.logs.JsonLine"},
    },
    "handlers": {
        "stderr": {
            "class": "logging.StreamHandler",
            "formatter": "json" if env_str("COMMONGRID_LOG_FORMAT", "line") == "json" else "line",
        }
    },
    "root": {"handlers": ["stderr"], "level": env_str("COMMONGRID_LOG_LEVEL", "INFO")},
}
