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

// QR is the QR code of a key URI, black on white with its quiet zone. Making it is most of the work; it can be drawn in
// both ways.
type QR struct {
	modules image.Image // without the quiet zone
	side    int         // of that, in modules
}

// NewQR makes the QR code of uri. The error is [ErrTooLong].
//
// Error correction level M, which survives a smudged screen, is preferred to L, which holds a quarter more. The library's
// only error is that the text is too long; it quotes the text, and with it the secret, so it goes no further.
func NewQR(uri string) (QR, error) {
	for _, level := range [...]qr.ErrorCorrectionLevel{qr.M, qr.L} {
		if code, err := qr.Encode(uri, level, qr.Unicode); err == nil {
			return QR{code, code.Bounds().Dx()}, nil
		}
	}
	return QR{}, ErrTooLong
}

// PNG draws it with 8 pixels to the module.
func (q QR) PNG() ([]byte, error) {
	side := (q.side + 2*quietZone) * scale
	picture := image.NewPaletted(image.Rect(0, 0, side, side), color.Palette{color.White, color.Black})
	for y := range side {
		for x := range side {
			if q.dark(x/scale-quietZone, y/scale-quietZone) {
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

// SVG draws it as an <svg> element that takes the size of its container, is safe to inline in a page and does not depend
// on the page's styles.
func (q QR) SVG() string {
	var path strings.Builder
	for y := range q.side {
		for x := 0; x < q.side; x++ {
			start := x
			for q.dark(x, y) {
				x++
			}
			if run := x - start; run > 0 {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", start+quietZone, y+quietZone, run, run)
			}
		}
	}
	side := q.side + 2*quietZone
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" shape-rendering="crispEdges" role="img" aria-label="QR code">`+
		`<rect width="%d" height="%d" fill="#fff"/><path fill="#000" d="%s"/></svg>`, side, side, side, side, path.String())
}

// dark reports whether the module is; outside of the code none is.
func (q QR) dark(x, y int) bool {
	return image.Pt(x, y).In(q.modules.Bounds()) && q.modules.At(x, y) == color.Black
}
