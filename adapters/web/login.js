/** @file Says that a token was refused. */

if (location.search === "?refused") {
  const said = document.getElementById("refused");
  if (said) said.hidden = false;
}
