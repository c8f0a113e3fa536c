//go:build !unix

package boltstore

const canLimitFileSize = false

func limitFileSize(uint64) {}
