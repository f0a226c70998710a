package courier

import (
	"html"
	"strings"

	"moat/internal/pure/lazyregexp"
)

var (
	hiddenParts = lazyregexp.New(`(?is)<!--.*?-->|<(style|script|head|title)\b.*?</(style|script|head|title)\s*>`)
	anchors     = lazyregexp.New(`(?is)<a\b[^>]*?\bhref\s*=\s*(?:"([^"]*)"|'([^']*)')[^>]*>(.*?)</a\s*>`)
	lineBreaks  = lazyregexp.New(`(?i)<br\b[^>]*>|</(p|div|tr|li|h[1-6]|table|ul|ol|blockquote)\s*>`)
	tags        = lazyregexp.New(`(?s)</?[a-zA-Z][^>]*>|<![^>]*>`)
	spaces      = lazyregexp.New(`[ \t\r\n\f]+`)
)

// plainText is an HTML mail for who reads text: tags are left out, links stand behind
// what they were laid on, paragraphs become lines. It is for reading, not for safety.
func plainText(body string) string {
	body = hiddenParts.ReplaceAllString(body, "")
	body = anchors.ReplaceAllStringFunc(body, func(a string) string {
		m := anchors.FindStringSubmatch(a)
		label, link := strings.TrimSpace(tags.ReplaceAllString(m[3], "")), m[1]+m[2]
		if label == link || label == "" {
			return link
		}
		return label + " ( " + link + " )" // the spaces keep the parenthesis out of the link
	})
	if tags.MatchString(body) { // in HTML a line break is a space
		body = spaces.ReplaceAllString(body, " ")
	}
	body = lineBreaks.ReplaceAllString(body, "\n")
	body = html.UnescapeString(tags.ReplaceAllString(body, ""))
	lines := strings.Split(body, "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSpace(l)
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}
