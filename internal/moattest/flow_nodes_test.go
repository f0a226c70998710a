package moattest

import (
	"testing"
	"time"

	"moat/internal/pure/sigv4"
	"moat/internal/server"
	"moat/internal/store/storetest"
)

// feedBound is how long what one node was told may take to count on the others.
const feedBound = 5 * time.Second

// What is taken from a caller on one node is taken on the others within the bound.
func TestFlow_nodes(t *testing.T) {
	t.Parallel()
	url := storetest.NewSchema(t, storetest.StartPostgres(t))
	data := t.TempDir()
	node := func() *Moat {
		return New(t, func(c *server.Config) {
			c.InMemory, c.Database, c.Data, c.BaseURL = false, url, data, "http://localhost:4566"
		})
	}
	first, second := node(), node()
	trusted := `{"Effect":"Allow","Principal":{"AWS":"` + flowAccount + `"},"Action":"sts:AssumeRole"}`
	role := first.role(t, "dev", trusted, allows("iam:ListUsers", "*"))
	user := first.user(t, "ada", allows("iam:ListUsers", "*"), allows("sts:*", "*"))
	session := first.assume(t, user, role)

	// becomes waits until the other node answers with a code, and says how it ended.
	becomes := func(what string, who sigv4.Credentials, code string) {
		t.Helper()
		tick, late := time.NewTicker(20*time.Millisecond), time.After(feedBound)
		defer tick.Stop()
		for {
			status, answer := second.form(t, who, "iam", "ListUsers")
			if element(answer, "Code") == code && (status == 200) == (code == "") {
				return
			}
			select {
			case <-tick.C:
			case <-late:
				t.Errorf("%s: after %v the other node answers %d %s, want %q", what, feedBound, status, answer, code)
				return
			}
		}
	}
	becomes("a new key", user, "")
	becomes("a session, which no table holds", session, "")
	first.allow(t, "Role", "dev", allows("iam:ListRoles", "*"))
	becomes("a changed policy", session, "AccessDenied")
	first.allow(t, "Role", "dev", allows("iam:ListUsers", "*"))
	becomes("and back", session, "")
	first.must(t, "iam", "UpdateAccessKey", "UserName", "ada", "AccessKeyId", user.AccessKeyID, "Status", "Inactive")
	becomes("a disabled key", user, "InvalidClientTokenId")
	first.must(t, "iam", "UpdateAccessKey", "UserName", "ada", "AccessKeyId", user.AccessKeyID, "Status", "Active")
	becomes("an enabled key", user, "")
	first.must(t, "iam", "DeleteRolePolicy", "RoleName", "dev", "PolicyName", "p")
	first.must(t, "iam", "DeleteRole", "RoleName", "dev")
	becomes("a deleted role", session, "InvalidClientTokenId")
	first.must(t, "iam", "DeleteAccessKey", "UserName", "ada", "AccessKeyId", user.AccessKeyID)
	becomes("a deleted key", user, "InvalidClientTokenId")
}
