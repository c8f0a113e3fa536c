package mail

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A draft is a mail that is being written. What is missing first is kept, and makes an error of it all.
type draft struct {
	Content
	page
	noun  string // of the backup code, in keys
	words catalogue
	err   error
}

// A page is what the templates show.
type page struct {
	Lang, App     string
	Subject       line
	Blocks        []block
	Time, Address string // Address may be empty
	Never         string
}

// A block is one of: a paragraph, a list, a button.
type block struct {
	Line        line
	Strong      bool // not to be overlooked
	List        []line
	Button, URL string
	Main        bool // the button that most will want
}

// A line is one sentence or more, in parts of which some are links.
type line []part

type part struct {
	Text, URL string
	Whole     bool // not to be broken at its hyphen
}

func (l line) String() string {
	var text strings.Builder
	for _, p := range l {
		text.WriteString(p.Text)
	}
	return text.String()
}

// compose writes the mail in the words of a language.
func compose(c Content, words catalogue) (page, error) {
	write := c.Kind.write()
	if write == nil {
		return page{}, fmt.Errorf("%w: no kind %q", ErrContent, c.Kind)
	}
	if err := c.check(); err != nil {
		return page{}, err
	}
	c.IP = address(c.IP)
	noun, _ := c.Words.noun()
	d := &draft{Content: c, noun: noun, words: words}
	d.Lang, d.page.App = words.lang, clean(c.App)
	write(d)
	d.Time = d.line("footer.time").String()
	if d.IP != "" {
		d.Address = d.line("footer.ip").String()
	}
	d.Never = d.line("footer.never").String()
	return d.page, d.err
}

func (d *draft) subject(key string) { d.Subject = d.line(key) }

// say adds a paragraph.
func (d *draft) say(key string) { d.Blocks = append(d.Blocks, block{Line: d.line(key)}) }

// sayIf adds one of two paragraphs: the first where there is what it tells.
func (d *draft) sayIf(given, key, otherwise string) {
	if given == "" {
		key = otherwise
	}
	d.say(key)
}

func (d *draft) warn(key string) { d.Blocks = append(d.Blocks, block{Line: d.line(key), Strong: true}) }

func (d *draft) list(keys ...string) {
	var lines []line
	for _, key := range keys {
		lines = append(lines, d.line(key))
	}
	d.Blocks = append(d.Blocks, block{List: lines})
}

// button adds a button, whose link the mail cannot do without.
func (d *draft) button(key, link string) {
	if link == "" {
		d.fail("no link for %s", key)
	}
	d.Blocks = append(d.Blocks, block{Button: d.line(key).String(), URL: link, Main: key != "button.cancel"})
}

// number is how the sentences about n things end their keys.
func (*draft) number(n int) string {
	if n == 1 {
		return "one"
	}
	return "other"
}

// line returns the words of a key, filled in.
func (d *draft) line(key string) line {
	var l line
	for sentence := d.says(key); sentence != ""; {
		before, rest, ok := strings.Cut(sentence, "{")
		if before != "" {
			l = append(l, part{Text: before})
		}
		if !ok {
			break
		}
		name, after, _ := strings.Cut(rest, "}")
		p := d.value(name)
		if p.Text == "" {
			d.fail("%s needs %s", key, name)
		}
		l = append(l, p)
		sentence = after
	}
	return l
}

// says returns the words of a key.
func (d *draft) says(key string) string {
	words, ok := d.words.says[key]
	if !ok {
		d.fail("there are no words for %s", key)
	}
	return words
}

// value returns what stands for {name}, or nothing. Times that something lasts until are not told too early, and those
// by which something must be done not too late: to the minute, an end is rounded up and a deadline down.
func (d *draft) value(name string) part {
	switch name {
	case "support":
		link, _ := supportLink(d.Support)
		return part{Text: d.Support, URL: link}
	case "ip":
		return part{Text: d.IP}
	case "reference":
		return part{Text: d.Reference, Whole: true}
	case "tries":
		return part{Text: strconv.Itoa(d.TriesLeft)}
	case "time":
		return part{Text: d.time(d.At)}
	case "expires":
		return part{Text: d.time(d.ExpiresAt)}
	case "effective":
		return part{Text: d.time(roundUp(d.EffectiveAt))}
	case "locked_until":
		return part{Text: d.time(roundUp(d.LockedUntil))}
	}
	return part{}
}

func roundUp(t time.Time) time.Time {
	if down := t.Truncate(time.Minute); !down.Equal(t) {
		return down.Add(time.Minute)
	}
	return t
}

// time returns a time in UTC as the language writes it, or nothing for the zero time.
func (d *draft) time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	t = t.UTC()
	day := strconv.Itoa(t.Day())
	if t.Day() == 1 {
		day = d.says("first_day")
	}
	return strings.NewReplacer(
		"{day}", day,
		"{month}", d.says("month."+strconv.Itoa(int(t.Month()))),
		"{year}", strconv.Itoa(t.Year()),
		"{hour}", t.Format("15"),
		"{minute}", t.Format("04"),
	).Replace(d.says("time"))
}

func (d *draft) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s: %s", ErrContent, d.Kind, fmt.Sprintf(format, args...))
	}
}
