package userpool

import (
	"errors"
	"maps"
	"slices"

	"moat/internal/store"
	"moat/internal/wire"
)

// change is what a request does to a user's attributes.
type change struct {
	user    User
	proofs  []contact // addresses that get a code
	pending map[string]bool
}

// applyAttributes sets attributes on u; the empty value removes one. A changed
// address is unproven until its code comes back, unless by says verified in the
// same request, which only an administrator may.
func (p *Pool) applyAttributes(u User, attributes map[string]string, admin bool) (change, error) {
	u.Attributes = maps.Clone(u.Attributes)
	c := change{pending: map[string]bool{}}
	if err := p.checkChanges(&u, attributes); err != nil {
		return c, err
	}
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		value := attributes[name]
		if value == u.Attributes[name] && name != loginEmail && name != loginPhone {
			continue
		}
		if name != loginEmail && name != loginPhone {
			setOrDelete(u.Attributes, name, value)
			continue
		}
		if value == u.Attributes[name] {
			continue
		}
		said, proven := attributes[name+"_verified"]
		proven = proven && admin && said == "true"
		needsCode := value != "" && !proven && slices.Contains(p.Settings.AutoVerified, name)
		if needsCode {
			c.proofs = append(c.proofs, contactFor(name, value))
		}
		if needsCode && p.requiresProof(name) && u.Attributes[name] != "" {
			c.pending[name] = true // the old address stays until the new one is proven
			continue
		}
		setOrDelete(u.Attributes, name, value)
		delete(u.Attributes, name+"_verified")
		if value != "" && !proven {
			u.Attributes[name+"_verified"] = "false"
		}
	}
	// Last, so that a verdict given in the same request outlives the change above.
	for _, name := range []string{loginEmail, loginPhone} {
		if v, said := attributes[name+"_verified"]; said && admin && !c.pending[name] && u.Attributes[name] != "" {
			u.Attributes[name+"_verified"] = v
		}
	}
	c.user = u
	return c, nil
}

func setOrDelete(m map[string]string, name, value string) {
	if value == "" {
		delete(m, name)
		return
	}
	m[name] = value
}

// checkChanges says whether the attributes of an existing user may get these values.
// All that is wrong is told at once, a line for each.
func (p *Pool) checkChanges(u *User, attributes map[string]string) error {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		why, err := p.changeFault(u, name, attributes[name])
		if err != nil {
			return err
		}
		if why != "" {
			lines = append(lines, "user."+name+": "+why)
		}
	}
	return told("", lines)
}

func (p *Pool) changeFault(u *User, name, value string) (why string, err error) {
	a, known := p.attribute(name)
	switch {
	case !known:
		return notInSchema, nil
	case name == "sub" || (!wire.Value(a.Mutable) && u.Attributes[name] != value):
		return "Attribute cannot be updated.", nil
	case value != "":
		return p.valueFault(name, value)
	case wire.Value(a.Required) || slices.Contains(p.UsernameAttributes, name):
		return "The attribute is required", nil
	}
	return "", nil
}

// storeChange stores a changed user and the codes that its new addresses need.
// Codes that went to replaced addresses lose their worth.
func (s *Service) storeChange(tx *store.Tx, p *Pool, before *User, c *change, sealed map[string][]byte) error {
	for _, to := range c.proofs {
		if c.pending[to.attribute] && slices.Contains(p.UsernameAttributes, to.attribute) {
			other, err := s.userByLogin(tx, p, to.attribute, p.fold(to.destination))
			if err == nil && other.Key != c.user.Key {
				return errAliasTaken(p, to.attribute)
			}
			if err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		code := Code{
			Pool: p.ID, User: c.user.Key, Purpose: purposeAttribute(to.attribute), Sealed: sealed[to.attribute],
			Attribute: to.attribute, Value: to.destination, Pending: c.pending[to.attribute],
		}
		if err := s.putCode(tx, code, attributeCodeLife); err != nil {
			return err
		}
	}
	for _, name := range []string{loginEmail, loginPhone} {
		if before.Attributes[name] == c.user.Attributes[name] {
			continue
		}
		if err := s.tables.codes.Delete(tx, p.ID, c.user.Key, purposeRecovery); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return s.putUser(tx, p, &c.user, false)
}

// drawCodes draws a code for each address that a change may have to prove.
func (s *Service) drawCodes() (plain map[string]string, sealed map[string][]byte, err error) {
	plain, sealed = map[string]string{}, map[string][]byte{}
	for _, name := range []string{loginEmail, loginPhone} {
		if plain[name], sealed[name], err = s.drawCode(); err != nil {
			return nil, nil, err
		}
	}
	return plain, sealed, nil
}
