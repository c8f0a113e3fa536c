package totp

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"strings"

	"github.com/boombuler/barcode/qr"
)

const (
	quietZone = 4 // modules of white on each side (ISO/IEC 18004 §6.3.8)
	scale     = 8 // pixels per module of the PNG: whole, so every edge is sharp
)

// ErrTooLong is the error for a URI that no QR code can hold: over 2,953 bytes (ISO/IEC 18004, table 7, version 40-L).
var ErrTooLong = errors.New("totp: the key URI does not fit a QR code: shorten the issuer or the account name")

// QRPNG draws the QR code of uri in black on white with its quiet zone, 8 pixels to the module.
func QRPNG(uri string) ([]byte, error) {
	modules, err := encode(uri)
	if err != nil {
		return nil, err
	}
	side := (modules.side + 2*quietZone) * scale
	picture := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	for y := range side {
		for x := range side {
			if modules.dark(x/scale-quietZone, y/scale-quietZone) {
				picture.SetColorIndex(x, y, 1)
			}
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, picture); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// QRSVG draws the QR code of uri in black on white with its quiet zone, as an <svg> element that takes the size of its
// container, is safe to inline in a page and does not depend on the page's styles.
func QRSVG(uri string) (string, error) {
	modules, err := encode(uri)
	if err != nil {
		return "", err
	}
	var path strings.Builder
	for y := range modules.side {
		for x := 0; x < modules.side; x++ {
			start := x
			for modules.dark(x, y) {
				x++
			}
			if run := x - start; run > 0 {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", start+quietZone, y+quietZone, run, run)
			}
		}
	}
	side := modules.side + 2*quietZone
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges" role="img" aria-label="QR code">`+
		`<rect width="%d" height="%d" fill="#fff"/><path fill="#000" d="%s"/></svg>`, side, side, side, side, path.String()), nil
}

// matrix is a QR code without its quiet zone.
type matrix struct {
	image.Image
	side int // in modules
}

// dark reports whether the module is; outside of the code none is.
func (m matrix) dark(x, y int) bool {
	return image.Pt(x, y).In(m.Bounds()) && m.At(x, y) == color.Black
}

// encode prefers error correction level M, which survives a smudged screen, to L, which holds a quarter more. The library's
// only error is that the text is too long; it quotes the text, and with it the secret, so it goes no further.
func encode(uri string) (matrix, error) {
	for _, level := range [...]qr.ErrorCorrectionLevel{qr.M, qr.L} {
		if code, err := qr.Encode(uri, level, qr.Unicode); err == nil {
			return matrix{code, code.Bounds().Dx()}, nil
		}
	}
	return matrix{}, ErrTooLong
}
