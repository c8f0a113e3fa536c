package host

import "time"

// NewMemoryRedeemerAt is NewMemoryRedeemer with a clock.
func NewMemoryRedeemerAt(now func() time.Time) Redeemer { return newMemoryRedeemer(now) }

// MaxRemembered is how many assertions it holds.
const MaxRemembered = maxRemembered
