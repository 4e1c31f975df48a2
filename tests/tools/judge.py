"""What PyJWT makes of tokens: a question as JSON on standard input, the answer as JSON on standard output.

{"keys", "issuer", "audience", "tokens": {NAME: TOKEN}}   ->  {NAME: "accepted" or the exception}
{"weak": true}                                            ->  {"key", "private"}: an RSA key of 1024 bits
{"weak": PRIVATE, "header", "claims"}                     ->  {"token"}, signed with it
"""

import json
import sys
import warnings

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

warnings.simplefilter("ignore")


def verdict(token, question, keys):
    try:
        key = keys[jwt.get_unverified_header(token)["kid"]]
        jwt.decode(
            token,
            jwt.PyJWK(key),
            algorithms=[key["alg"]],
            audience=question["audience"],
            issuer=question["issuer"],
            leeway=5,
            options={"require": ["iss", "sub", "aud", "exp", "iat"]},
        )
        return "accepted"
    except Exception as error:
        return type(error).__name__


def answer(question):
    if question.get("weak") is True:
        private = rsa.generate_private_key(public_exponent=65537, key_size=1024)
        named = {"kid": "weak", "alg": "RS256"}
        return {
            "key": {**json.loads(RSAAlgorithm.to_jwk(private.public_key())), **named, "key_ops": ["verify"]},
            "private": {**json.loads(RSAAlgorithm.to_jwk(private)), **named},
        }
    if "weak" in question:
        key = RSAAlgorithm.from_jwk(json.dumps(question["weak"]))
        return {"token": jwt.encode(question["claims"], key, algorithm="RS256", headers=question["header"])}
    keys = {key["kid"]: key for key in question["keys"]}
    return {name: verdict(token, question, keys) for name, token in question["tokens"].items()}


json.dump(answer(json.load(sys.stdin)), sys.stdout)
