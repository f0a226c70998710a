package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
)

// demoUser is the user whom `moat dev` makes in a template's pool, to try things with.
type demoUser struct {
	Name     string `json:"user"`
	Password string `json:"password"`
}

const demoName = "demo@example.com"

// ensureDemo makes the demonstration user, or gives back the one that is there. Its
// password is drawn at random and kept, readable by this person alone, in the data folder.
func (c *client) ensureDemo(ctx context.Context, data, pool string) (demoUser, error) {
	file := filepath.Join(data, "demo-users.json")
	known := map[string]demoUser{}
	if b, err := os.ReadFile(file); err == nil {
		if err := json.Unmarshal(b, &known); err != nil {
			return demoUser{}, fmt.Errorf("%s is not readable (%v); delete it", file, err)
		}
	}
	if u, ok := known[pool]; ok {
		var ee *apiError
		err := c.admin(ctx, "AdminGetUser", map[string]any{"UserPoolId": pool, "Username": u.Name})
		if err == nil || !errors.As(err, &ee) || ee.Code != "UserNotFoundException" {
			return u, err
		}
	}
	u := demoUser{Name: demoName}
	var err error
	if u.Password, err = randomPassword(); err != nil {
		return u, err
	}
	if err := c.createDemo(ctx, pool, u); err != nil {
		return u, err
	}
	known[pool] = u
	b, err := json.MarshalIndent(known, "", "  ")
	if err != nil {
		return u, err
	}
	return u, os.WriteFile(file, append(b, '\n'), 0o600)
}

func (c *client) createDemo(ctx context.Context, pool string, u demoUser) error {
	attributes := []map[string]string{{"Name": "email", "Value": u.Name}, {"Name": "email_verified", "Value": "true"}, {"Name": "name", "Value": "Demo"}}
	err := c.admin(ctx, "AdminCreateUser", map[string]any{"UserPoolId": pool, "Username": u.Name, "MessageAction": "SUPPRESS", "UserAttributes": attributes})
	var ee *apiError
	if err != nil && (!errors.As(err, &ee) || ee.Code != "UsernameExistsException") {
		return err
	}
	return c.admin(ctx, "AdminSetUserPassword", map[string]any{"UserPoolId": pool, "Username": u.Name, "Password": u.Password, "Permanent": true})
}

func (c *client) admin(ctx context.Context, op string, in map[string]any) error {
	return c.json(ctx, "cognito-idp", cognito+op, true, in, nil)
}

// randomPassword draws 20 characters that satisfy every character class a pool can ask for.
func randomPassword() (string, error) {
	const lower, upper, digits, signs = "abcdefghijkmnpqrstuvwxyz", "ABCDEFGHJKLMNPQRSTUVWXYZ", "23456789", "-_.+"
	classes := []string{upper, lower, digits, signs}
	var b strings.Builder
	for i := range 20 {
		class := lower + upper + digits
		if i < len(classes) {
			class = classes[i]
		}
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(class))))
		if err != nil {
			return "", err
		}
		b.WriteByte(class[n.Int64()])
	}
	return b.String(), nil
}
