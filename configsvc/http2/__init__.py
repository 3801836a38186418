"""The gRPC door over asyncio and libnghttp2: sessions, streams, connections, listeners, the server."""
