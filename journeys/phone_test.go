package journeys_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// period is the one that every authenticator app knows.
const period = 30 * time.Second

// tools are programs of others that the phone is held against. Those that are not installed have no path.
type tools struct{ oathtool, zbarimg string }

// A phone is an authenticator app: an implementation of RFC 6238 of its own, which shares no code with the service. Like
// the plainest of apps it knows SHA-1, 6 digits and 30 seconds, and believes its own clock.
type phone struct {
	secret  []byte
	entry   string // what the app shows above the code: Nightlatch (alice@example.com)
	wrongBy time.Duration
	typed   map[int64]bool // the time steps whose codes were typed
}

// code is the code of a time step (RFC 4226 §5.3).
func code(secret []byte, step int64) string {
	mac := hmac.New(sha1.New, secret)
	binary.Write(mac, binary.BigEndian, step)
	sum := mac.Sum(nil)
	at := sum[len(sum)-1] & 0x0f
	return fmt.Sprintf("%06d", (binary.BigEndian.Uint32(sum[at:at+4])&0x7fffffff)%1000000)
}

// step is the phone's time step when it is now in the world.
func (p *phone) step(now time.Time) int64 {
	return now.Add(p.wrongBy).Unix() / int64(period/time.Second)
}

// compare holds the phone's code against oathtool's.
func (t tools) compare(secret []byte, step int64) error {
	if t.oathtool == "" {
		return nil
	}
	at := fmt.Sprintf("--now=@%d", step*int64(period/time.Second))
	out, err := exec.Command(t.oathtool, "--totp", at, hex.EncodeToString(secret)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("oathtool: %w: %s", err, out)
	}
	if got, want := strings.TrimSpace(string(out)), code(secret, step); got != want {
		return fmt.Errorf("the phone shows %s, but oathtool %s", want, got)
	}
	return nil
}

// scan reads the QR code and begins a new entry. Without a program that reads it the address behind it is taken.
func (p *phone) scan(t tools, dir string, setUp *answer) error {
	uri := setUp.text("otpauth_uri")
	if t.zbarimg != "" {
		picture, ok := strings.CutPrefix(setUp.text("qr_png"), "data:image/png;base64,")
		if !ok {
			return errors.New("qr_png is not a picture in a data: address")
		}
		png, err := base64.StdEncoding.DecodeString(picture)
		if err != nil {
			return err
		}
		file := filepath.Join(dir, "qr.png")
		if err := os.WriteFile(file, png, 0o600); err != nil {
			return err
		}
		seen, err := exec.Command(t.zbarimg, "--quiet", "--raw", file).Output()
		if err != nil {
			return fmt.Errorf("zbarimg: %w", err)
		}
		if got := strings.TrimSpace(string(seen)); got != uri {
			return fmt.Errorf("the QR code says %q, but otpauth_uri is %q", got, uri)
		}
	}
	u, err := url.Parse(uri)
	if err != nil {
		return err
	}
	q := u.Query()
	for name, only := range map[string]string{"algorithm": "SHA1", "digits": "6", "period": "30"} {
		if v := q.Get(name); v != "" && v != only {
			return fmt.Errorf("this app cannot do %s=%s", name, v)
		}
	}
	issuer, account, ok := strings.Cut(strings.TrimPrefix(u.Path, "/"), ":")
	if u.Scheme != "otpauth" || u.Host != "totp" || !ok || q.Get("issuer") != issuer {
		return fmt.Errorf("%q does not name an issuer, twice the same, and an account", uri)
	}
	return p.add(issuer+" ("+strings.TrimSpace(account)+")", q.Get("secret"))
}

// add begins a new entry from a key that was typed or scanned, in groups or not.
func (p *phone) add(entry, key string) error {
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(strings.ToUpper(strings.ReplaceAll(key, " ", "")))
	if err != nil {
		return fmt.Errorf("the app does not take the key: %w", err)
	}
	if len(secret) < 20 { // RFC 4226 §4: 160 bits are recommended
		return fmt.Errorf("the key has %d bytes, want 20", len(secret))
	}
	p.secret, p.entry, p.typed = secret, entry, map[int64]bool{}
	return nil
}
