"""The proxies that are compared. Each writes its configuration for a site and says how it is started.

A proxy has: `name`; `title`; `is_swift`; `find(build_directory)`, the program, or tools.NotAvailable raised;
`version(program)`; `answers(row)`; `prepare(program, site, row, directory)`, which writes the configuration and returns the
command line.
"""

from .envoy import Envoy
from .fairlead import Fairlead
from .haproxy import HAProxy
from .nginx import LARGER_BUFFERS, Nginx

ALL = (
    Fairlead("fairlead", "Fairlead, native lanes", form="native"),
    Fairlead("fairlead-carriers", "Fairlead, native lanes, every carrier written", form="carriers"),
    Fairlead("fairlead-raw", "Fairlead, the pattern's VirtualServices", form="raw"),
    Fairlead("fairlead-lua", "Fairlead, the pattern with its Lua filter", form="lua"),
    Nginx("nginx", "nginx, maps"),
    Nginx("nginx-buffers", "nginx, maps, larger buffers", buffers=LARGER_BUFFERS),
    HAProxy(),
    Envoy("envoy", "Envoy, plain routes", promotion="routes"),
    Envoy("envoy-lua", "Envoy, the pattern's Lua filter", promotion="lua"),
    Envoy("envoy-native", "Envoy, native query formatter", promotion="native"),
)


def by_name(name):
    """The proxy of that name."""
    for proxy in ALL:
        if proxy.name == name:
            return proxy
    raise KeyError(name)
