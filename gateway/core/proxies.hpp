// Proxies that the environment names are not for us: Paho takes the connection to a broker through
// $http_proxy, also to one on this machine, and where the variable is empty it connects to nothing at all
// (1.3.12). The platform's proxy stands in the configuration.
#pragma once

#include <stdlib.h>

namespace touchpoint {

// First in main(): another thread may be reading the environment later.
inline void ignore_proxies_of_the_environment() {
    for (const char* name : {"http_proxy", "https_proxy"}) (void)::unsetenv(name);
}

}  // namespace touchpoint
