"""Registries: pushing images to them and reading images there (OCI distribution specification).

    push.py, upload.py, sending.py    an image, one blob, one blob on its way
    pull.py, download.py, mirrors.py  an image, as a layout whose blobs come over the network
    existing_layers.py                layers that need not be made, since the repository has them
    manifests.py                      manifests, indexes, lists of referrers
    clients.py, parallel.py           one client for each repository, several requests at once
    client.py, request_error.py       a request with all that comes of it, and what goes wrong
    retry.py                          trying again
    tokens.py, challenge.py           who we are, as the registry wants to hear it
    credentials.py, helpers.py        who we are, as docker and podman know it
    transport.py, connections.py      one request, over a connection that is kept
    socks.py, tls.py                  what is in between, and whom to believe
    urls.py, addresses.py             where a request may go
    repository.py                     which repository a reference means
    client_options.py, environment.py what all of that needs to be told

Nothing here reads the environment, prints, or knows the time: `ClientOptions` has all of it.
"""
