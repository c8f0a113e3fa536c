package environment

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/nightlatch/nightlatch/pkg/twofactor"
)

// recovery reads what mails and recovery need.
func (r *reader) recovery(e *Environment, region string, needs []Need) {
	// take takes a setting that one of these needs, if it is needed at all.
	take := func(name, must string, needed bool, of []Need, ok func(string) bool) string {
		if needed && slices.ContainsFunc(of, func(n Need) bool { return slices.Contains(needs, n) }) {
			return r.need(name, must, ok)
		}
		return r.may(name, must, ok)
	}
	reviewed := e.Policy.Recovery == twofactor.IdentityReview
	e.Web = take("NIGHTLATCH_WEB", "the https URL of the pages that mailed links lead to, without a slash at its end", reviewed,
		[]Need{ToSendMails, ToAskPersona, ToHearPersona}, isIssuer)

	e.Mail = Mail{
		Queue: take("NIGHTLATCH_MAIL_QUEUE", "the URL of the SQS queue of mail jobs", reviewed, []Need{ToQueueMails}, isURL),
		From: sender(take("NIGHTLATCH_MAIL_FROM", "whom mails are from, such as Example <no-reply@example.com>", true, []Need{ToSendMails},
			func(s string) bool { return sender(s).Address != "" })),
		ConfigurationSet: r.may("NIGHTLATCH_MAIL_CONFIGURATION_SET", "the name of a configuration set of SES", isName),
		Reviewers:        r.may("NIGHTLATCH_REVIEWERS", "the address that is told of cases", isAddress),
		Words: r.may("NIGHTLATCH_WORDS", "a preset ("+strings.Join(twofactor.Presets(), ", ")+"), whose words mails have",
			func(s string) bool { return slices.Contains(twofactor.Presets(), s) }),
	}
	if e.Mail.Words == "" {
		e.Mail.Words = presetOf(r.values["NIGHTLATCH_POLICY"])
	}

	asks := []Need{ToAskPersona, ToHearPersona}
	isSecret := func(s string) bool { return isARN(s, "secretsmanager", region, "secret:") }
	e.Persona = Persona{
		URL:      r.may("NIGHTLATCH_PERSONA_URL", "the https URL of Persona's API, or that of what stands in for it on this machine", isPersona),
		Template: take("NIGHTLATCH_PERSONA_TEMPLATE", "the inquiry template at Persona, such as itmpl_…", reviewed, asks, isName),
		APIKey: take("NIGHTLATCH_PERSONA_SECRET", "the ARN of a secret in Secrets Manager, in this Region, with Persona's API key",
			reviewed, asks, isSecret),
		WebhookSecret: take("NIGHTLATCH_WEBHOOK_SECRET", "the ARN of a secret in Secrets Manager, in this Region, with that of Persona's webhooks",
			reviewed, []Need{ToHearPersona}, isSecret),
	}
	if e.Web != "" {
		e.Persona.ReturnTo = e.Web + "/#/reset/thanks"
	}
	if e.Persona.Template == "" {
		e.Persona.Template = "none" // a client wants one; without a key it asks for nothing
	}
}

// presetOf is the preset that a policy is, or is made of.
func presetOf(policy string) string {
	var settings struct{ Preset string }
	if json.Unmarshal([]byte(policy), &settings) == nil {
		policy = settings.Preset
	}
	if slices.Contains(twofactor.Presets(), policy) {
		return policy
	}
	return twofactor.Presets()[0]
}
