package stack

import "regexp"

// The host names under which AWS serves what a stack creates. A client that reads them
// from an output must reach this server instead; see docs/divergences.md.
var (
	executeAPI = regexp.MustCompile(`https://([a-z0-9]{8,12})\.execute-api\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/([A-Za-z0-9_-]+)`)
	authDomain = regexp.MustCompile(`https://([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)\.auth\.[a-z0-9-]+\.amazoncognito\.com`)
	poolIssuer = regexp.MustCompile(`https://cognito-idp\.[a-z0-9-]+\.amazonaws\.com/([a-z0-9-]+_[A-Za-z0-9]+)`)
)
