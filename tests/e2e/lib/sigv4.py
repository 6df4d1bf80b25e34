# SPDX-License-Identifier: Apache-2.0
"""AWS Signature Version 4, to make requests and to look at those of others.

https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
"""

import calendar
import hashlib
import hmac
import re
import time

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^,/]+)/([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
)
STAMP = "%Y%m%dT%H%M%SZ"
SKEW_S = 900


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def signature(method, path, query, headers, names, payload, secret, scope):
    """${headers}: {lower case: value}; ${names}: those that are signed; ${payload}: hex digest or
    word; ${scope}: DATE/REGION/SERVICE/aws4_request. ${path} and ${query} as they are canonical."""
    canonical = "\n".join(
        [method, path, query, *(f"{k}:{' '.join(headers[k].split())}" for k in names), ""]
        + [";".join(names), payload]
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return _hmac(key, f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{digest}").hex()


def signed(method, host, path, query, headers, payload, key, service, region, now=None):
    """The headers of a request; ${key}: (access, secret) or (access, secret, token)."""
    stamp = time.strftime(STAMP, time.gmtime(now))
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    h = {k.lower(): v for k, v in headers.items()} | {"host": host, "x-amz-date": stamp}
    if service == "s3":
        h["x-amz-content-sha256"] = payload
    if len(key) > 2:
        h["x-amz-security-token"] = key[2]
    names = sorted(h)
    mark = signature(method, path, query, h, names, payload, key[1], scope)
    h["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={key[0]}/{scope}, SignedHeaders={';'.join(names)}, "
        f"Signature={mark}"
    )
    return h


def fault(method, path, headers, body, keys):
    """(code, words) of what is wrong with a request to SNS or SQS, or None. ${keys}: {access:
    {"secret": text, "token": text or absent, "expired": true or absent}}."""
    m = AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if not m:
        return "MissingAuthenticationToken", "There is no signature."
    access, scope, names, mark = m.groups()
    names = names.split(";")
    key = keys.get(access)
    if not key:
        return "InvalidClientTokenId", "The security token included in the request is invalid."
    if key.get("expired"):
        return "ExpiredToken", "The security token included in the request is expired."
    if headers.get("x-amz-security-token") != key.get("token"):
        return "InvalidClientTokenId", "The token does not go with the key."
    stamp = headers.get("x-amz-date", "")
    try:
        off = abs(calendar.timegm(time.strptime(stamp, STAMP)) - time.time())
    except ValueError:
        return "IncompleteSignature", "There is no date."
    if off > SKEW_S or not scope.startswith(stamp[:8]):
        return "RequestExpired", "The date is too far away."
    if names != sorted(set(names)) or "host" not in names or not set(names) <= set(headers):
        return "SignatureDoesNotMatch", f"The names of the signed fields are wrong: {names}."
    left = [
        h for h in headers if (h.startswith("x-amz-") or h == "content-type") and h not in names
    ]
    if left:
        return "SignatureDoesNotMatch", f"Fields are not signed: {left}."
    payload = hashlib.sha256(body).hexdigest()
    if signature(method, path, "", headers, names, payload, key["secret"], scope) != mark:
        return "SignatureDoesNotMatch", "The signature does not match."
    return None
