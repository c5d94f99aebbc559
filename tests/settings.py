"""What differs from config.settings while tests run in this process."""

from config.settings import *  # noqa: F403

SECRET_KEY = "a key for tests only, long enough to be accepted by every check there is"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
