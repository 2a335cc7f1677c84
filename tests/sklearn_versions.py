"""The version of scikit-learn that the tests run with."""

import pytest
import sklearn
from sklearn.utils.fixes import parse_version

RELEASE = parse_version(sklearn.__version__).release[:2]

#: The version that fastbp's perceptrons have their parameters and their arithmetic from. They are the same with every
#: version; scikit-learn's own differ.
REFERENCE = (1, 9)

REASON = f"fastbp is compared with the perceptrons of scikit-learn 1.9, and this is {sklearn.__version__}"
compares_with_reference = pytest.mark.skipif(RELEASE != REFERENCE, reason=REASON)
