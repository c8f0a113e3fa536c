package totp

import (
	"crypto/hmac"
	"crypto/sha512"
	"encoding/binary"
	"hash"
)

// generator computes the codes of one secret (RFC 4226 §5.3). One HMAC and its buffers serve all of them.
type generator struct {
	mac     hash.Hash
	counter [8]byte
	sum     [sha512.Size]byte
	code    []byte
}

func (p Params) generator(secret Secret) (*generator, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if err := secret.validate(); err != nil {
		return nil, err
	}
	return &generator{mac: hmac.New(p.Algorithm.hash(), secret), code: make([]byte, p.Digits)}, nil
}

// at is the code of s, good until the next call. A negative step counts in two's complement, as in other implementations.
func (g *generator) at(s Step) []byte {
	binary.BigEndian.PutUint64(g.counter[:], uint64(s))
	g.mac.Reset()
	g.mac.Write(g.counter[:])
	sum := g.mac.Sum(g.sum[:0])

	// Dynamic truncation: the low four bits of the last byte say where to read 31 bits.
	start := sum[len(sum)-1] & 0xf
	number := binary.BigEndian.Uint32(sum[start:]) & 0x7fffffff
	for i := len(g.code) - 1; i >= 0; i-- {
		g.code[i] = '0' + byte(number%10)
		number /= 10
	}
	return g.code
}
