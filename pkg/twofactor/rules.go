package twofactor

import "time"

// Rules decide. They are a value: the policy and the keys in force for one request. A rule changes the account it is
// given and records what happened; it does no I/O and looks at no clock.
//
// A rule's error is its verdict. Unless it is wrapped by refuse, the account is stored before the verdict is told.
type Rules struct {
	Policy Policy
	Keys   Keys
	Fence  time.Time // what is older may have been restored; zero: nothing was (fence.go)
}
