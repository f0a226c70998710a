package function

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// CodePath begins the paths at which ServeCode answers.
const CodePath = "/_moat/code/"

// codeURLLife is how long the address of a package is good, as on Lambda.
const codeURLLife = 10 * time.Minute

// sealCode is the purpose under which addresses of packages are sealed.
const sealCode = "function/code-address"

type codeTicket struct {
	SHA256  string
	Expires time.Time
}

// codeLocation gives an address from which whoever has it can fetch a package, for ten
// minutes.
func (s *Service) codeLocation(sum string) (string, error) {
	plain, err := json.Marshal(codeTicket{SHA256: sum, Expires: s.cfg.Now().Add(codeURLLife)})
	if err != nil {
		return "", err
	}
	sealed, err := s.db.Seal(sealCode, plain)
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(s.cfg.BaseURL, "/") + CodePath + url.PathEscape(base64.RawURLEncoding.EncodeToString(sealed)), nil
}

// ServeCode answers requests to the addresses that GetFunction and GetLayerVersion give.
func (s *Service) ServeCode(w http.ResponseWriter, r *http.Request) {
	sealed, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(r.URL.Path, CodePath))
	var ticket codeTicket
	if err == nil {
		var plain []byte
		if plain, err = s.db.Unseal(sealCode, sealed); err == nil {
			err = json.Unmarshal(plain, &ticket)
		}
	}
	if err != nil || !s.cfg.Now().Before(ticket.Expires) || r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.Error(w, "This address is not valid, or not any more.", http.StatusForbidden)
		return
	}
	archive, err := s.code.read(ticket.SHA256)
	if err != nil {
		http.Error(w, "The package does not exist any more.", http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/zip")
	w.Header().Set("Content-Length", strconv.Itoa(len(archive)))
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(archive)
}
