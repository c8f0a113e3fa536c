//go:build !linux

package boltstore

import "errors"

const canFailSync = false

func failSync(string) error { return errors.ErrUnsupported }
