package twofactor

import (
	"maps"
	"slices"
	"time"
)

// What a history draws.

func (m *model) rightCode() string {
	if m.live == nil {
		return "000000"
	}
	return m.live.at(m.now)
}

func (m *model) pendingCode() string {
	if m.pending == nil {
		return "000000"
	}
	return m.pending.at(m.now)
}

func (m *model) drawCode() string {
	phones := []*phone{m.live, m.live, m.live, m.pending}
	for i := range m.former {
		phones = append(phones, &m.former[i])
	}
	p := orNobody(pick(m.t, "phone", phones...))
	if m.live != nil && p != m.live && p != m.pending && len(m.former) > 0 {
		reach("former secret tried")
	}
	switch pick(m.t, "code", "near", "near", "present", "present", "drifted", "ahead", "wrong", "last", "told", "malformed") {
	case "near":
		return p.step(m.step() + pick[int64](m.t, "off", -1, 0, 1))
	case "present":
		return p.step(m.step())
	case "drifted":
		return p.step(m.step() + int64(pick(m.t, "off", -22, -21, -20, -19, -5, -3, -2, 2, 3, 5, 19, 20, 21, 22)))
	case "ahead":
		return p.step(m.step() + pick[int64](m.t, "off", 2, 3, 4))
	case "wrong":
		return p.wrong(m.now, pick(m.t, "n", 0, 1, 2, 3))
	case "last":
		return p.step(m.last)
	case "told":
		for _, s := range slices.Sorted(maps.Keys(m.told)) {
			if s >= m.step()-1 {
				return p.step(s)
			}
		}
		return p.step(m.step())
	}
	return pick(m.t, "malformed", "", "12345", "1234567", "12345x", "abcdef-")
}

func (m *model) drawBackup() string {
	codes := append(slices.Sorted(maps.Keys(m.formerCodes)), "00000000", m.pendingBackup, m.backup, m.backup, m.backup, "U")
	return pick(m.t, "backup code", codes...)
}

// fresh is a new challenge; when 2FA is off and may be, one that nobody should have.
func (m *model) fresh() *modelChallenge {
	offer, err := m.offer(NewChallenge{Nonce: "nonce"})
	m.must(err)
	if want := m.live != nil || m.rules.Policy.Enforcement == Required; offer.Required != want || (offer.Challenge != nil) != want {
		m.t.Fatalf("offer %+v", offer)
	}
	if link := m.rules.Policy.Recovery == IdentityReview && m.view().state == "ready"; slices.Contains(offer.Methods, MethodResetLink) != link {
		m.t.Fatalf("methods %v while %s", offer.Methods, m.view().state)
	}
	ch := offer.Challenge
	if ch == nil {
		ch = &Challenge{
			ID: RandomDigest(), Purpose: PurposeVerify, User: alice, Incarnation: m.account.Incarnation, Epoch: m.account.Epoch,
			ExpiresAt: m.now.Add(10 * time.Minute),
		}
	}
	c := &modelChallenge{Challenge: *ch, era: m.era}
	m.challenges = append(m.challenges, c)
	return c
}

func (m *model) drawChallenge() *modelChallenge {
	if n := len(m.challenges); n > 0 && pick(m.t, "reuse", true, false, false) {
		return m.challenges[max(0, n-1-pick(m.t, "challenge", 0, 0, 1, 2, 3, 4))]
	}
	return m.fresh()
}

func (m *model) drawGrant() *modelGrant {
	if len(m.grants) == 0 {
		return &modelGrant{Grant: &Grant{ID: RandomDigest(), User: alice}, dead: true}
	}
	return m.grants[max(0, len(m.grants)-1-pick(m.t, "grant", 0, 0, 0, 1, 2))]
}
