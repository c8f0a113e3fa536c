package mail

import (
	"embed"
	"errors"
	"fmt"
	htmltemplate "html/template"
	"strings"
	"sync"
	texttemplate "text/template"
)

// A Message is a mail without its envelope.
type Message struct {
	Subject, Text, HTML string
}

//go:embed layout.txt layout.html
var layouts embed.FS

var (
	textLayout  *texttemplate.Template
	htmlLayout  *htmltemplate.Template
	loadLayouts sync.Once
)

// Render writes the mail. An error is always an [ErrContent]. The same Content makes the same Message.
func Render(c Content) (Message, error) {
	loadLayouts.Do(func() {
		textLayout = texttemplate.Must(texttemplate.ParseFS(layouts, "layout.txt"))
		htmlLayout = htmltemplate.Must(htmltemplate.ParseFS(layouts, "layout.html"))
	})
	p, err := compose(c, words(c.Locale))
	if err != nil {
		return Message{}, err
	}
	var text, html strings.Builder
	if err := errors.Join(textLayout.Execute(&text, p), htmlLayout.Execute(&html, p)); err != nil {
		return Message{}, fmt.Errorf("%w: %s: %w", ErrContent, c.Kind, err)
	}
	return Message{Subject: p.Subject.String(), Text: text.String(), HTML: html.String()}, nil
}
