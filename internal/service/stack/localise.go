package stack

import (
	"context"
	"strings"

	"moat/internal/pure/lazyregexp"
)

// The host names under which AWS serves what a stack creates. A client that reads them
// from an output must reach this server instead; see docs/divergences.md.
var (
	executeAPI = lazyregexp.New(`https://([a-z0-9]{8,12})\.execute-api\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/([A-Za-z0-9_-]+)`)
	authDomain = lazyregexp.New(`https://([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)\.auth\.[a-z0-9-]+\.amazoncognito\.com`)
	poolIssuer = lazyregexp.New(`https://cognito-idp\.[a-z0-9-]+\.amazonaws\.com/([a-z0-9-]+_[A-Za-z0-9]+)`)
)

// localise replaces the names of AWS's hosts in an output by the address at which the
// same thing is served here. What no stack here made stays as it is.
func (o *operation) localise(ctx context.Context, text string) string {
	if o.s.cfg.BaseURL == "" || !strings.Contains(text, "https://") {
		return text
	}
	base := strings.TrimSuffix(o.s.cfg.BaseURL, "/")
	ours := o.known(ctx)
	replace := func(re *lazyregexp.Regexp, with string) {
		text = re.ReplaceAllStringFunc(text, func(m string) string {
			if !o.has(re.FindStringSubmatch(m)[1]) && !ours(re.FindStringSubmatch(m)[1]) {
				return m
			}
			return re.ReplaceAllString(m, with)
		})
	}
	replace(executeAPI, base+"/restapis/$1/$2/_user_request_")
	replace(authDomain, base+"/_auth/$1")
	replace(poolIssuer, base+"/$1")
	return text
}

// has reports whether the stack has a physical resource.
func (o *operation) has(id string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.resources {
		if r.Current.PhysicalID == id {
			return true
		}
	}
	return false
}
