package main

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// guard keeps web pages of elsewhere away from this server, which anybody's browser on this machine can reach. A page
// can send requests here in two ways: under this server's name, and then the browser says where the page is from
// (Origin); or under a name of its own that it has made point to 127.0.0.1 (DNS rebinding), and then the browser says
// that name (Host). Both must be ours. So that no page of elsewhere gets an answer as a script, image or frame, either,
// every answer says that it is for pages of the same origin.
func guard(port string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("cache-control", "no-store")
		h.Set("cross-origin-resource-policy", "same-origin")
		h.Set("referrer-policy", "no-referrer")
		h.Set("x-content-type-options", "nosniff")
		if !ours(r.Host, port) {
			message(w, http.StatusForbidden, "Forbidden: the Host header must be localhost or a loopback address, with the port "+port)
			return
		}
		for _, origin := range r.Header["Origin"] {
			// A form on a page that tells no referrer is sent by nobody. Then the browser says in another header whose it is,
			// which no page can write.
			if origin == "null" && r.Header.Get("Sec-Fetch-Site") == "same-origin" {
				continue
			}
			if host, ok := strings.CutPrefix(origin, "http://"); !ok || !ours(host, port) {
				message(w, http.StatusForbidden, "Forbidden: the Origin header must be this server's own; let a development server pass requests on, without it")
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// ours says whether a host, with the port unless that is 80, is one by which this server can be reached.
func ours(host, port string) bool {
	name, given, err := net.SplitHostPort(host)
	if err != nil {
		name, given = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), "80"
	}
	return given == port && isLoopback(name)
}

// isLoopback says whether a name or address leads to this machine whatever a name server says.
func isLoopback(name string) bool {
	if strings.EqualFold(name, "localhost") { // RFC 6761 §6.3
		return true
	}
	ip, err := netip.ParseAddr(name)
	return err == nil && ip.Zone() == "" && ip.Unmap().IsLoopback()
}
