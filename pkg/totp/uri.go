package totp

import (
	"net/url"
	"strconv"
	"strings"
)

// URI is the key URI that an authenticator app scans or opens (Google Authenticator, "Key Uri Format"). It contains the
// secret: show it to its owner and to nobody else, and never log it.
//
// The issuer stands both in the label and in the parameter; an app that knows only one of them still shows it. All
// parameters are spelt out, since apps differ in what they assume. Apps decode the label before they split it at
// the first colon, so account may contain one and issuer should not; the parameter is right in any case.
func (p Params) URI(secret Secret, issuer, account string) string {
	label, parameter := escape(account), ""
	if issuer != "" {
		label = escape(issuer) + ":" + label
		parameter = "&issuer=" + escape(issuer)
	}
	return "otpauth://totp/" + label +
		"?secret=" + secret.Base32() +
		parameter +
		"&algorithm=" + string(p.Algorithm) +
		"&digits=" + strconv.Itoa(p.Digits) +
		"&period=" + strconv.Itoa(p.Period)
}

// escape leaves only unreserved characters (RFC 3986 §2.3). Spaces are %20, never "+", which some apps show as a plus.
func escape(name string) string {
	return strings.ReplaceAll(url.QueryEscape(strings.ToValidUTF8(name, "\uFFFD")), "+", "%20")
}
