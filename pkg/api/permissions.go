package api

import "slices"

// Permissions returns what the function may ask of AWS, as lines of a resource, an action and, where only part of the resource
// is meant, that part: "accounts GetItem", "kms Decrypt totp". A keyset takes two of them, to read it and to open it.
//
// It is the one list: the programs are held to it by what they really ask for, no more and no less, and the roles that the
// CDK stack gives them by what is synthesised. What Lambda does for a function, so as to call it and to keep its log, is not
// in it. The slice is the caller's.
func (f Function) Permissions() []string {
	may := slices.Clone(permissions[f.Name])
	if slices.Contains(may, "accounts GetItem") { // of an account it is known first that its table is the deployment's
		may = append(may, "config GetItem deployment")
	}
	for _, purpose := range f.Opens() {
		may = append(may, "config GetItem keyset/"+purpose, "kms Decrypt "+purpose)
	}
	return may
}

// Opens returns the purposes of the keysets that the function opens. What keys may do with keysets is in its permissions. The slice is the caller's.
func (f Function) Opens() []string { return slices.Clone(opens[f.Name]) }

// opens are the keysets that each function opens.
var opens = map[string][]string{
	"enroll":           {"totp", "codes", "contact", "challenge", "signing"},
	"verify":           {"totp", "codes", "challenge", "links", "signing"},
	"check":            {"totp"},
	"rotate-backup":    {"totp", "codes", "challenge"},
	"disable":          {"totp"},
	"challenge":        {"contact", "challenge"},
	"reset-request":    {"challenge", "ids", "links", "contact"},
	"reset-review":     {"ids", "contact"},
	"identity-webhook": {"ids", "contact"},
	"sweep":            {"contact"},
	"mailer":           {"contact", "links"},
	"mail-feedback":    {"ids"},
	"admin":            {"totp", "contact"},
}

// permissions are the rest.
var permissions = map[string][]string{
	"enroll":           {"accounts GetItem", "config GetItem fence", "accounts PutItem"},
	"verify":           {"accounts GetItem", "config GetItem fence", "accounts PutItem"},
	"check":            {"accounts GetItem", "config GetItem fence", "accounts PutItem"},
	"rotate-backup":    {"accounts GetItem", "config GetItem fence", "accounts PutItem"},
	"disable":          {"accounts GetItem", "config GetItem fence", "accounts PutItem"},
	"reset-request":    {"accounts GetItem", "config GetItem fence", "accounts PutItem", "persona GetSecretValue"},
	"status":           {"accounts GetItem", "config GetItem fence", "history Query"},
	"challenge":        {"accounts GetItem", "config GetItem fence", "accounts PutItem", "history PutItem"},
	"reset-review":     {"accounts GetItem", "config GetItem fence", "accounts PutItem", "accounts by_due Query", "history PutItem", "history Query"},
	"identity-webhook": {"accounts GetItem", "config GetItem fence", "accounts PutItem", "persona GetSecretValue", "webhook GetSecretValue"},
	"jwks":             {"config GetItem jwks"},
	"notify":           {"history PutItem", "history Query", "history DeleteItem", "bus PutEvents", "mails SendMessage", "failures PutObject"},
	"mailer":           {"accounts GetItem", "history GetItem", "history UpdateItem", "ses SendRawEmail"},
	"sweep":            {"accounts GetItem", "config GetItem fence", "accounts PutItem", "accounts by_due Query", "persona GetSecretValue"},
	"mail-feedback":    {"accounts GetItem", "config GetItem fence", "accounts PutItem"},
	"keys": slices.Concat([]string{
		"accounts GetItem \tsentinel", "accounts PutItem \tsentinel", "config GetItem deployment", "config PutItem deployment", "config GetItem jwks", "config PutItem jwks",
	}, each("config GetItem keyset/"), each("config PutItem keyset/"), each("kms Decrypt "), each("kms Encrypt ")),
	"admin": {
		"accounts GetItem", "accounts PutItem", "history Query", "config GetItem fence", "config PutItem fence", "failures ListBucket", "failures GetObject", "failures DeleteObject", "notify InvokeFunction",
	},
}

// purposes are those of all keysets.
var purposes = []string{"totp", "contact", "codes", "links", "ids", "challenge", "signing"}

// each is a permission for every keyset.
func each(permission string) []string {
	all := slices.Clone(purposes)
	for i := range all {
		all[i] = permission + all[i]
	}
	return all
}
