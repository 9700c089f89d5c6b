"""A web server on this machine that counts what it is asked for, and files that point to it."""

import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class _Handler(SimpleHTTPRequestHandler):
    """Serves a folder, parts of files included, as servers of images do."""

    asked: list

    def log_message(self, *_):
        """Says nothing."""

    def do_HEAD(self):
        """Headers of a file."""
        self._answer(body=False)

    def do_GET(self):
        """A file, or the wanted part of it."""
        self._answer(body=True)

    def _answer(self, body):
        self.asked.append((self.command, self.path))
        file = Path(self.translate_path(self.path))
        try:
            content = file.read_bytes()
        except OSError:
            self.send_error(404)
            return
        total, wanted = len(content), self.headers.get("Range")
        self.send_response(206 if wanted else 200)
        if wanted:
            first, last = (int(n or total) for n in wanted.removeprefix("bytes=").split("-"))
            content = content[first : last + 1]
            self.send_header("Content-Range", f"bytes {first}-{first + len(content) - 1}/{total}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)


@contextmanager
def serving(folder):
    """Serves a folder; yields its address and the list of requests so far."""
    asked = []
    handler = type("Handler", (_Handler,), {"asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def sources(address):
    """Names by which a VRT may call an image in the network."""
    return [
        f"/vsicurl/{address}",
        f"/vsicurl?url={address}",
        f"/vsicurl_streaming/{address}",
        f"/vsicached?file=/vsicurl/{address}",
        f"/vsisubfile/0_9999,/vsicurl/{address}",
        f"/vsizip//vsicurl/{address}",
        address,
        f"WCS:{address}",
        f"WMTS:{address}",
        f"DAAS:{address}",
        f"STACIT:&quot;{address}&quot;",
        f"ZARR:&quot;/vsicurl/{address}&quot;",
        f"NETCDF:&quot;{address}&quot;",
        "&lt;GDAL_WMS&gt;&lt;Service name=&quot;TMS&quot;&gt;&lt;ServerUrl&gt;"
        + address
        + "/${z}&lt;/ServerUrl&gt;&lt;/Service&gt;&lt;DataWindow&gt;&lt;TileLevel&gt;3&lt;/TileLevel&gt;&lt;/DataWindow"
        "&gt;&lt;BandsCount&gt;1&lt;/BandsCount&gt;&lt;/GDAL_WMS&gt;",
    ]


def vrt(file, sources, bands, size):
    """Writes a VRT whose bands all show the same files, of the size ``(height, width)``."""
    parts = "".join(
        f"<SimpleSource><SourceFilename>{source}</SourceFilename><SourceBand>@@</SourceBand></SimpleSource>"
        for source in sources
    )
    rasters = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{n}">{parts.replace("@@", str(n))}</VRTRasterBand>'
        for n, kind in enumerate(bands, start=1)
    )
    file.write_text(f'<VRTDataset rasterXSize="{size[1]}" rasterYSize="{size[0]}">{rasters}</VRTDataset>')
    return file
