"""A model under a person's hand: pictures by parameters, and a page that shows them."""
