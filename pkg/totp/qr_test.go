package totp

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/nightlatch/nightlatch/pkg/needs"
)

// uris from the usual one to the longest that fits.
func uris() map[string]string {
	long := func(size int) string {
		uri := Default.URI(seed(SHA1), "Example", "")
		return uri + "&" + strings.Repeat("x", size-len(uri)-1)
	}
	return map[string]string{
		"usual":          Default.URI(seed(SHA1), "Example", "alice@example.com"),
		"not Latin":      Params{SHA512, 8, 60}.URI(seed(SHA512), "Банк Пример", "花子@example.jp"),
		"long names":     Default.URI(seed(SHA1), strings.Repeat("банк", 12), strings.Repeat("花", 42)),
		"longest with M": long(2331),
		"shortest for L": long(2332),
		"longest":        long(2953),
	}
}

// readBack is what a scanner reads in a picture.
func readBack(t *testing.T, zbarimg, file string) string {
	t.Helper()
	out, err := exec.Command(zbarimg, "--raw", "--quiet", file).Output()
	if err != nil {
		t.Fatalf("zbarimg: %v", err)
	}
	return strings.TrimSuffix(string(out), "\n")
}

func drawPNG(uri string) ([]byte, error) {
	code, err := NewQR(uri)
	if err != nil {
		return nil, err
	}
	return code.PNG()
}

func drawSVG(uri string) (string, error) {
	code, err := NewQR(uri)
	if err != nil {
		return "", err
	}
	return code.SVG(), nil
}

func TestQRPNGScans(t *testing.T) {
	t.Parallel()
	zbarimg := needs.Program(t, "zbarimg")
	for name, uri := range uris() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			picture, err := drawPNG(uri)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "qr.png")
			if err := os.WriteFile(file, picture, 0o600); err != nil {
				t.Fatal(err)
			}
			if got := readBack(t, zbarimg, file); got != uri {
				t.Errorf("scanned %q, want %q", got, uri)
			}
		})
	}
}

func TestQRSVGScans(t *testing.T) {
	t.Parallel()
	zbarimg, convert := needs.Program(t, "zbarimg"), needs.Program(t, "rsvg-convert")
	for name, uri := range uris() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			drawing, err := drawSVG(uri)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "qr.svg"), []byte(drawing), 0o600); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "qr.png")
			if out, err := exec.Command(convert, "--zoom=6", "--output="+file, filepath.Join(dir, "qr.svg")).CombinedOutput(); err != nil {
				t.Fatalf("rsvg-convert: %v: %s", err, out)
			}
			if got := readBack(t, zbarimg, file); got != uri {
				t.Errorf("scanned %q, want %q", got, uri)
			}
		})
	}
}

// modulesOf reads the PNG back into rows of modules, quiet zone included, and fails if a module is not of one colour.
func modulesOf(t *testing.T, picture []byte) [][]bool {
	t.Helper()
	decoded, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	bounds := decoded.Bounds()
	if bounds.Min != (image.Point{}) || bounds.Dx() != bounds.Dy() || bounds.Dx()%scale != 0 {
		t.Fatalf("bounds %v are no square of whole modules", bounds)
	}
	rows := make([][]bool, bounds.Dy()/scale)
	for y := range rows {
		rows[y] = make([]bool, len(rows))
	}
	for y := range bounds.Dy() {
		for x := range bounds.Dx() {
			gray := color.GrayModel.Convert(decoded.At(x, y)).(color.Gray).Y
			if gray != 0 && gray != 255 {
				t.Fatalf("pixel %d,%d is gray", x, y)
			}
			if x%scale == 0 && y%scale == 0 {
				rows[y/scale][x/scale] = gray == 0
			} else if rows[y/scale][x/scale] != (gray == 0) {
				t.Fatalf("module %d,%d has two colours", x/scale, y/scale)
			}
		}
	}
	return rows
}

func TestQRPNGIsSharpAndQuiet(t *testing.T) {
	t.Parallel()
	picture, err := drawPNG(uris()["usual"])
	if err != nil {
		t.Fatal(err)
	}
	rows := modulesOf(t, picture)
	for y, row := range rows {
		for x, dark := range row {
			quiet := x < 4 || y < 4 || x >= len(rows)-4 || y >= len(rows)-4
			if quiet && dark {
				t.Errorf("module %d,%d in the quiet zone is dark", x, y)
			}
		}
	}
	for _, corner := range [][2]int{{4, 4}, {len(rows) - 5, 4}, {4, len(rows) - 5}} { // of the three finder patterns
		if !rows[corner[1]][corner[0]] {
			t.Errorf("module %v is not the corner of a finder pattern: the quiet zone is wider than four modules", corner)
		}
	}
	if len(picture) > 4096 {
		t.Errorf("%d bytes: the picture is not stored with one bit a pixel", len(picture))
	}
}

// The path of the SVG paints exactly the modules that the PNG has.
func TestQRSVGIsTheSamePicture(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"usual", "long names"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			uri := uris()[name]
			picture, err := drawPNG(uri)
			if err != nil {
				t.Fatal(err)
			}
			drawing, err := drawSVG(uri)
			if err != nil {
				t.Fatal(err)
			}
			want := modulesOf(t, picture)
			for _, run := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`).FindAllStringSubmatch(drawing, -1) {
				var n [4]int
				for i := range n {
					n[i], _ = strconv.Atoi(run[i+1])
				}
				if n[2] != n[3] {
					t.Fatalf("%s does not close", run[0])
				}
				for x := range n[2] {
					if !want[n[1]][n[0]+x] {
						t.Fatalf("%s: module %d,%d is painted twice or should be white", run[0], n[0]+x, n[1])
					}
					want[n[1]][n[0]+x] = false
				}
			}
			for y, row := range want {
				for x, left := range row {
					if left {
						t.Fatalf("module %d,%d is not painted", x, y)
					}
				}
			}
			if box := fmt.Sprintf(`viewBox="0 0 %d %d"`, len(want), len(want)); !strings.Contains(drawing, box) {
				t.Errorf("no %s in %.150s", box, drawing)
			}
		})
	}
}

func TestQRSVGIsSafeToInline(t *testing.T) {
	t.Parallel()
	const hostile = `otpauth://totp/"><script>alert(1)</script>&amp;<style>`
	drawing, err := drawSVG(hostile)
	if err != nil {
		t.Fatal(err)
	}
	elements := map[string]int{}
	attributes := map[string]string{}
	decoder := xml.NewDecoder(strings.NewReader(drawing))
	for {
		next, err := decoder.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		switch next := next.(type) {
		case xml.StartElement:
			if next.Name.Space != "http://www.w3.org/2000/svg" {
				t.Errorf("<%s> is not SVG", next.Name.Local)
			}
			elements[next.Name.Local]++
			for _, attribute := range next.Attr {
				attributes[next.Name.Local+" "+attribute.Name.Local] = attribute.Value
			}
		case xml.CharData, xml.Comment, xml.ProcInst, xml.Directive:
			t.Errorf("%T in the drawing", next)
		}
	}
	if len(elements) != 3 || elements["svg"] != 1 || elements["rect"] != 1 || elements["path"] != 1 {
		t.Errorf("elements %v, want one svg, rect and path", elements)
	}
	for name, want := range map[string]string{
		"svg role": "img", "svg aria-label": "QR code", "svg shape-rendering": "crispEdges", "rect fill": "#fff", "path fill": "#000",
	} {
		if attributes[name] != want {
			t.Errorf("%s = %q, want %q", name, attributes[name], want)
		}
	}
	if _, styled := attributes["svg style"]; styled || strings.Contains(drawing, "alert") {
		t.Errorf("more in the drawing than the code: %.300s", drawing)
	}
}

// Level M as long as it fits, then L. The level is the first two bits of the format, 10 and 11 after masking (ISO/IEC 18004 §7.9).
func TestQRLevel(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"usual": "M", "long names": "M", "longest with M": "M", "shortest for L": "L", "longest": "L",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, err := NewQR(uris()[name])
			if err != nil {
				t.Fatal(err)
			}
			levels := map[[2]bool]string{{true, true}: "L", {true, false}: "M", {false, true}: "Q", {false, false}: "H"}
			if got := levels[[2]bool{code.dark(0, 8), code.dark(1, 8)}]; got != want {
				t.Errorf("level %s, want %s", got, want)
			}
		})
	}
}

func TestQRTooLong(t *testing.T) {
	t.Parallel()
	uri := Default.URI(seed(SHA1), "Example", strings.Repeat("花", 400))
	if picture, err := drawPNG(uri); !errors.Is(err, ErrTooLong) || picture != nil {
		t.Errorf("PNG = %d bytes, %v, want ErrTooLong", len(picture), err)
	}
	drawing, err := drawSVG(uri)
	if !errors.Is(err, ErrTooLong) || drawing != "" {
		t.Errorf("SVG = %d bytes, %v, want ErrTooLong", len(drawing), err)
	}
	if err != nil && strings.Contains(err.Error(), seed(SHA1).Base32()) {
		t.Errorf("the error quotes the secret: %.200v", err)
	}
}

func BenchmarkQRSVG(b *testing.B) {
	uri := uris()["usual"]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := drawSVG(uri); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkQRPNG(b *testing.B) {
	uri := uris()["usual"]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := drawPNG(uri); err != nil {
			b.Fatal(err)
		}
	}
}
