package twofactor

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"net/netip"
	"time"

	"github.com/nightlatch/nightlatch/pkg/totp"
)

// The reasons of [EventCodeReused]; none where the code came from the place where it was used, or that is not known.
const (
	ReusedElsewhere      = "another_place"       // is mailed
	ReusedElsewhereAgain = "another_place_again" // soon after that mail
)

// reuseMailedFor is how long no other mail says that a used code was tried from another place.
const reuseMailedFor = time.Hour

// originBytes is how much of an origin's digest is kept. That two places have the same one, and a mail is not sent, has a
// probability of one in four thousand million.
const originBytes = 4

// origin names the place that an address is in, for comparison alone: nil if there is none. It is a digest under the
// authenticator's own secret, which is at hand wherever a code is compared: whoever has the item, but no key to open that
// secret, cannot search the few addresses that there are for the one that the user had, long after the history has
// forgotten it.
func origin(secret totp.Secret, ip string) []byte {
	if ip == "" {
		return nil
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("nightlatch: origin of a code\x00" + placeOf(ip)))
	return mac.Sum(nil)[:originBytes]
}

// placeOf is what an address has in common with those at the same place: all of IPv4, behind which a household is, and the
// network of IPv6, 64 bits, in which each of its devices has addresses of its own.
func placeOf(ip string) string {
	address, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	if address = address.Unmap(); address.Is6() {
		network, err := address.Prefix(64) // without the zone
		if err != nil {
			return ip
		}
		return network.String()
	}
	return address.String()
}

// usedElsewhere says whether a spent code comes from another place than the last accepted one. It is not asked of a code
// that was told apart and never used: who has come home with a phone whose clock is off is not to be warned of it.
func (a *Authenticator) usedElsewhere(c compared) bool {
	return c.step <= a.LastStep && c.from != nil && a.LastFrom != nil && !bytes.Equal(c.from, a.LastFrom)
}

// elsewhere is the reason to record, and with it whether a mail is sent: at most once an hour.
func (a *Account) elsewhere(now time.Time) string {
	if hours(now) < a.ReuseQuiet {
		return ReusedElsewhereAgain
	}
	a.ReuseQuiet = hours(now.Add(reuseMailedFor)) + 1
	return ReusedElsewhere
}

// hours are full hours since 1970.
func hours(t time.Time) int64 { return int64(totp.Params{Period: 60 * 60}.StepAt(t)) }
