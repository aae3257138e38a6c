"""DTLS for Python, which has none: OpenSSL's library by ctypes, blocking."""

import ctypes
import ctypes.util
import socket
import struct

_ssl = ctypes.CDLL(ctypes.util.find_library("ssl"))
_crypto = ctypes.CDLL(ctypes.util.find_library("crypto"))
for _library, _name, _result, _arguments in (
        (_ssl, "DTLS_client_method", ctypes.c_void_p, ()),
        (_ssl, "SSL_CTX_new", ctypes.c_void_p, (ctypes.c_void_p,)),
        (_ssl, "SSL_new", ctypes.c_void_p, (ctypes.c_void_p,)),
        (_ssl, "SSL_free", None, (ctypes.c_void_p,)),
        (_ssl, "SSL_set_bio", None, (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)),
        (_ssl, "SSL_connect", ctypes.c_int, (ctypes.c_void_p,)),
        (_ssl, "SSL_shutdown", ctypes.c_int, (ctypes.c_void_p,)),
        (_ssl, "SSL_read", ctypes.c_int, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)),
        (_ssl, "SSL_write", ctypes.c_int, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)),
        (_crypto, "BIO_new_dgram", ctypes.c_void_p, (ctypes.c_int, ctypes.c_int)),
        (_crypto, "BIO_ctrl", ctypes.c_long,
         (ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p)),
        (_crypto, "ERR_clear_error", None, ())):
    _function = getattr(_library, _name)
    _function.restype, _function.argtypes = _result, _arguments
_CONTEXT = _ssl.SSL_CTX_new(_ssl.DTLS_client_method())
_SET_CONNECTED, _SET_RECV_TIMEOUT = 32, 33  # openssl/bio.h


class DtlsSocket:
    """A client's session over a UDP socket of its own (IPv4). Nobody's
    certificate is checked."""

    def __init__(self, address, wait, source="127.0.0.1"):
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((source, 0))
        self.udp.connect(address)
        bio = _crypto.BIO_new_dgram(self.udp.fileno(), 0)
        remote = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(address[1]),
                             socket.inet_aton(address[0]))
        _crypto.BIO_ctrl(bio, _SET_CONNECTED, 0, remote)
        _crypto.BIO_ctrl(bio, _SET_RECV_TIMEOUT, 0, struct.pack("=qq", int(wait), 0))
        self._ssl = _ssl.SSL_new(_CONTEXT)
        _ssl.SSL_set_bio(self._ssl, bio, bio)
        _crypto.ERR_clear_error()
        if _ssl.SSL_connect(self._ssl) != 1:
            raise ConnectionError("no DTLS handshake")
        self._buffer = ctypes.create_string_buffer(1 << 16)

    def getsockname(self):
        return self.udp.getsockname()

    def send(self, message):
        if _ssl.SSL_write(self._ssl, message, len(message)) != len(message):
            raise ConnectionError("DTLS is over")

    def recv(self, _=0):
        _crypto.ERR_clear_error()
        size = _ssl.SSL_read(self._ssl, self._buffer, len(self._buffer))
        if size <= 0:
            raise TimeoutError("nothing came by DTLS")
        return self._buffer.raw[:size]

    def close(self):
        """With a farewell (close_notify)."""
        if self._ssl:
            _ssl.SSL_shutdown(self._ssl)
            _ssl.SSL_free(self._ssl)
            self._ssl = None
            self.udp.close()
