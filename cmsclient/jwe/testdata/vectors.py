"""Writes key.pem and vectors.json: JWEs made from RFC 7516 and 7518 with Python's cryptography, which shares no code with
the package under test. Run it in this folder; every run makes a new key and new vectors."""

import base64
import hashlib
import hmac
import json
import os

from cryptography.hazmat.primitives import hashes, padding, serialization
from cryptography.hazmat.primitives.asymmetric import padding as rsa_padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def gcm(bits):
    def encrypt(plain, aad):
        cek, iv = os.urandom(bits // 8), os.urandom(12)
        sealed = AESGCM(cek).encrypt(iv, plain, aad)
        return cek, iv, sealed[:-16], sealed[-16:]
    return encrypt


def cbc_hs256(plain, aad):  # RFC 7518 section 5.2: the first half of the key authenticates, the second encrypts
    cek, iv = os.urandom(32), os.urandom(16)
    padder = padding.PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(cek[16:]), modes.CBC(iv)).encryptor()
    sealed = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    length = (8 * len(aad)).to_bytes(8, "big")
    return cek, iv, sealed, hmac.new(cek[:16], aad + iv + sealed + length, hashlib.sha256).digest()[:16]


def compact(public, header, encrypt, plain):
    aad = b64(json.dumps(header, separators=(",", ":")).encode())
    cek, iv, sealed, tag = encrypt(plain, aad)
    oaep = rsa_padding.OAEP(rsa_padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    return b".".join([aad, b64(public.encrypt(cek, oaep)), b64(iv), b64(sealed), b64(tag)]).decode()


key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
kid = hashlib.sha256(spki).hexdigest()
balances = ('{"contractBalances":[{"balanceCode":"AVAILABLE","balanceCurrency":"CLF","balanceId":999999999999999984,'
            '"balanceValue":-999999999999999999.9999}]}')
full = {"kid": kid, "cty": "application/json", "alg": "RSA-OAEP-256"}
vectors = [
    ("A256GCM as Mastercard writes it", full | {"enc": "A256GCM"}, gcm(256), balances),
    ("A128GCM without kid", {"enc": "A128GCM", "alg": "RSA-OAEP-256"}, gcm(128), '{"foo":"bar"}'),
    ("A192GCM, upper-case kid", full | {"kid": kid.upper(), "enc": "A192GCM"}, gcm(192), balances),
    ("A128CBC-HS256", full | {"enc": "A128CBC-HS256"}, cbc_hs256, balances),
    ("kid of another key", full | {"kid": "00" * 32, "enc": "A256GCM"}, gcm(256), '{"foo":"bar"}'),
    ("not touched", full | {"enc": "A256GCM"}, gcm(256), ' {"a":1e400,\r\n"a":1.50,"\\u00e9":"é\\/"} \n'),
    ("no JSON", full | {"enc": "A128CBC-HS256"}, cbc_hs256, "bar"),
    ("empty", full | {"enc": "A256GCM"}, gcm(256), ""),
]
with open("key.pem", "wb") as out:
    out.write(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
with open("vectors.json", "w", encoding="utf-8") as out:
    json.dump([{"name": name, "jwe": compact(key.public_key(), header, encrypt, plain.encode()), "plain": plain}
               for name, header, encrypt, plain in vectors], out, indent=1, ensure_ascii=False)
    out.write("\n")
